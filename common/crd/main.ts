// `npm run crd`: writes the CustomResourceDefinition into crds/.
import { writeFileSync } from 'node:fs';
import { manifestPath, manifestText } from './manifest.ts';

writeFileSync(new URL(`../../${manifestPath}`, import.meta.url), manifestText());
console.log(`${manifestPath} is up to date.`);
