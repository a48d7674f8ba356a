// What `kubectl explain` says of the resource: every field has a description.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { customResourceDefinition } from '../../common/crd/custom-resource.ts';
import { startApiServer } from '../lib/api-server.ts';
import type { ApiServer } from '../lib/api-server.ts';
import { eventually } from '../lib/eventually.ts';

let server: ApiServer;
beforeAll(async () => {
  server = await startApiServer();
  // Some seconds after it takes the resource, the API server says how it is made.
  await eventually(async () => {
    expect((await server.kubectl(['explain', 'controlcluster.status'])).stdout).toContain('DESCRIPTION');
  }, 20_000);
});
afterAll(async () => {
  await server.stop();
});

describe('kubectl explain', () => {
  interface Node {
    readonly description?: string;
    readonly properties?: Readonly<Record<string, Node>>;
    readonly items?: Node;
  }
  /** Every object below a field, with its place as kubectl wants it. */
  const objects = (node: Node, path: string): [path: string, fields: Readonly<Record<string, Node>>][] => {
    const inner = node.items ?? node;
    if (inner.properties === undefined) return [];
    return [[path, inner.properties], ...Object.entries(inner.properties).flatMap(([name, child]) => objects(child, `${path}.${name}`))];
  };
  const root = customResourceDefinition().spec.versions[0]?.schema.openAPIV3Schema as Node;
  const plain = (text: string): string => text.replace(/\s+/g, ' ');

  test.each(['spec', 'status'])('describes every field of the %s', async (part) => {
    const found = objects(root.properties?.[part] ?? {}, `controlcluster.${part}`);
    expect(found.length).toBeGreaterThan(4);
    for (const [path, fields] of found) {
      const said = plain((await server.kubectl(['explain', path])).stdout);
      for (const { description } of Object.values(fields)) expect(said).toContain(plain(description ?? 'a description'));
    }
  });
});
