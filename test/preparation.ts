// What takes long to make and does not depend on the product: system packages, the programs of the bundled Kubernetes, the base image. Started
// by `npm test` beside the stages that need none of it; does nothing when the cache has everything.
import { baseArchive } from './cluster/image.ts';
import { buildAll } from './cluster/build.ts';
import { ClusterError } from './cluster/command.ts';
import { ensurePrerequisites } from './cluster/prerequisites.ts';

try {
  await ensurePrerequisites();
  await buildAll();
  await baseArchive();
} catch (error) {
  if (!(error instanceof ClusterError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
