// The text of the file in crds/. The same text for the same schema, so that a test can tell whether the file is up to date.
import { stringify } from 'yaml';
import { group, plural } from '../names.ts';
import { customResourceDefinition } from './custom-resource.ts';

/** Where the file is, from the root of the repository. */
export const manifestPath = `crds/${group}_${plural}.yaml`;

export const manifestText = (): string =>
  `# Generated from common/schema.ts by npm run crd; a test fails when it differs.\n${stringify(customResourceDefinition(), { lineWidth: 0, aliasDuplicateObjects: false })}`;
