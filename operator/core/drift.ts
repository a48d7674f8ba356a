// Whether a live object is as we want it. Only what we ask for is compared: fields that the API server fills in or others own are theirs.
// What a newer version of us no longer asks for is found by the digest, an annotation that is part of every object we apply.
// Writes nothing; what differs is put back by an apply.
import { group } from '../../common/names.ts';
import { ownerOf, type KubeObject } from './observed.ts';

/** Digest of the object as we asked for it; set by the controller on every desired object. */
export const digestAnnotation = `${group}/applied`;

export const digestOf = (object: KubeObject): string => object.metadata.annotations?.[digestAnnotation] ?? '';

/** Made for this cluster. One that has lost its owner (orphaned, or edited by hand) is taken back; one of another owner is left alone. */
export function isOurs(object: KubeObject, clusterUid: string): boolean {
  const owner = ownerOf(object);
  return owner === clusterUid || (owner === undefined && digestOf(object) !== '');
}

/** Lists that the API server merges by key, so that others may add elements of their own. All other lists are replaced whole. */
const keyedLists: Readonly<Record<string, readonly string[]>> = {
  '*': ['ownerReferences', 'finalizers'],
  Service: ['ports'],
  StatefulSet: [
    'containers',
    'initContainers',
    'volumes',
    'env',
    'ports',
    'volumeMounts',
    'volumeDevices',
    'imagePullSecrets',
    'hostAliases',
    'topologySpreadConstraints',
  ],
};

/** Where the live object lacks or contradicts what is desired, with the live value; empty when it does not. */
export function differences(desired: KubeObject, live: KubeObject): string[] {
  const keyed = new Set([...(keyedLists['*'] ?? []), ...(keyedLists[desired.kind] ?? [])]);
  const found: string[] = [];
  compare(desired, live, '', '', (path, value) => found.push(`${path}=${value === undefined ? 'absent' : JSON.stringify(value)}`), keyed);
  return found;
}

type Found = (path: string, live: unknown) => void;

function compare(desired: unknown, live: unknown, path: string, field: string, found: Found, keyed: ReadonlySet<string>): void {
  if (live === undefined && isEmpty(desired)) return;
  if (Array.isArray(desired) && Array.isArray(live)) compareLists(desired, live, path, field, found, keyed);
  else if (isRecord(desired) && isRecord(live))
    for (const [key, value] of Object.entries(desired)) compare(value, live[key], `${path}.${key}`, key, found, keyed);
  else if (desired !== live) found(path, live);
}

function compareLists(desired: unknown[], live: unknown[], path: string, field: string, found: Found, keyed: ReadonlySet<string>): void {
  if (!keyed.has(field)) {
    if (desired.length !== live.length) found(path, live);
    else
      desired.forEach((value, at) => {
        compare(value, live[at], `${path}[${String(at)}]`, '', found, keyed);
      });
    return;
  }
  for (const [at, value] of desired.entries()) {
    const matches = live.some((candidate) => {
      let same = true;
      compare(value, candidate, '', '', () => (same = false), keyed);
      return same;
    });
    if (!matches) found(`${path}[${String(at)}]`, live);
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

/** The API server leaves such values out. */
const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === '' ||
  value === false ||
  value === 0 ||
  (typeof value === 'object' && Object.values(value).every(isEmpty));
