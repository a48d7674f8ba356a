// What the demo makes, by name: `down` removes what `npm run demo` has made.
import { join } from 'node:path';
import { checkout } from '../cluster/state.ts';

export const release = 'controlcluster';
export const namespace = 'controlcluster-system';
export const cluster = 'trading';
export const example = join(checkout, 'examples', 'trading.yaml');
/** Marks the namespace as the demo's own, to be removed by `down`. */
export const demoLabel = 'controlcluster.io/demo=true';
/** Makes the namespace and the mark in one step. */
export const namespaceManifest = join(import.meta.dirname, 'namespace.yaml');
