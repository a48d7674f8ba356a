// The CustomResourceDefinition, made from the schema in common/schema.ts.
// Kubernetes wants a structural schema, a small part of JSON Schema: what has no place in it is either known to be dispensable or an error here, never lost unnoticed.
import { z } from 'zod';
import { group, kind, plural, version } from '../names.ts';
import { controlClusterSchema } from '../schema.ts';

interface Schema {
  readonly [key: string]: unknown;
}

const isSchema = (value: unknown): value is Schema => typeof value === 'object' && value !== null && !Array.isArray(value);

const kept: ReadonlySet<string> = new Set([
  ...['type', 'description', 'default', 'enum', 'format', 'pattern', 'required'],
  ...['minimum', 'maximum', 'minLength', 'maxLength', 'minItems', 'maxItems', 'maxProperties'],
  ...['properties', 'items', 'additionalProperties'],
]);
/** JSON Schema says these of what a structural schema says otherwise, or does not need. */
const dispensable: ReadonlySet<string> = new Set(['$schema', 'propertyNames']);

/** Throws a TypeError that names the place of what cannot be said in a structural schema. */
function structural(node: Schema, path: string): Schema {
  const result: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(node)) {
    if (kept.has(key) || key.startsWith('x-kubernetes-')) {
      if (!isImplied(node, key)) result[key] = key === 'default' ? filled(node, value) : isSchema(value) ? nested(key, value, path) : value;
    } else if (!dispensable.has(key)) throw new TypeError(`${path}: ${key} has no place in a structural schema`);
  }
  return result;
}

/** The default of an object with the defaults of its fields: rules are evaluated on it as it stands here. */
function filled(node: Schema, value: unknown): unknown {
  if (!isSchema(value) || !isSchema(node['properties'])) return value;
  const fields = Object.entries(node['properties']).flatMap(([name, property]) =>
    isSchema(property) && 'default' in property ? [[name, filled(property, property['default'])] as const] : [],
  );
  return { ...Object.fromEntries(fields), ...value };
}

function nested(key: string, value: Schema, path: string): Schema {
  if (key === 'items' || key === 'additionalProperties') return structural(value, `${path}.${key}`);
  if (key !== 'properties') return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, property]) => [name, structural(isSchema(property) ? property : {}, `${path}.${name}`)]),
  );
}

/** Said already: an expression by a rule with a message, the form of a time by its format, the range of integers by zod's own limits, openness by the extension. */
function isImplied(node: Schema, key: string): boolean {
  switch (key) {
    case 'pattern':
      return 'x-kubernetes-validations' in node || 'format' in node;
    case 'minimum':
    case 'maximum':
      return Math.abs(Number(node[key])) === Number.MAX_SAFE_INTEGER;
    case 'additionalProperties':
      return 'properties' in node;
    case 'properties':
      return isSchema(node[key]) && Object.keys(node[key]).length === 0;
    default:
      return false;
  }
}

function openApiSchema(): Schema {
  const json = z.toJSONSchema(controlClusterSchema, { target: 'openapi-3.0', io: 'input', reused: 'inline', unrepresentable: 'any' });
  const { description, properties, 'x-kubernetes-validations': rules } = json;
  return structural(
    {
      type: 'object',
      description,
      'x-kubernetes-validations': rules,
      required: ['metadata', 'spec'],
      properties: {
        apiVersion: { type: 'string', description: `Version of the resource: ${group}/${version}.` },
        kind: { type: 'string', description: `Kind of the resource: ${kind}.` },
        // Bounded, as names are anyway, so that the cost of the rules on it can be estimated.
        metadata: { type: 'object', properties: { name: { type: 'string', maxLength: 253 } } },
        spec: properties?.['spec'],
        status: properties?.['status'],
      },
    },
    kind,
  );
}

const column = (name: string, type: 'string' | 'integer' | 'date', jsonPath: string, description: string) => ({
  name,
  type,
  jsonPath,
  description,
});

export function customResourceDefinition() {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind, listKind: `${kind}List`, plural, singular: kind.toLowerCase(), shortNames: ['cc'], categories: ['all'] },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: {
            status: {},
            scale: {
              specReplicasPath: '.spec.members',
              statusReplicasPath: '.status.replicas',
              labelSelectorPath: '.status.selector',
            },
          },
          additionalPrinterColumns: [
            column('Phase', 'string', '.status.phase', 'State of the cluster.'),
            column('Leader', 'string', '.status.leader', 'Pod that leads.'),
            column('UID', 'integer', '.status.uid', 'Highest acknowledged change.'),
            column('Ready', 'string', '.status.ready', 'Members that lead or follow in sync, of all.'),
            column('DR', 'string', '.status.disasterRecoveryReady', 'Disaster-recovery replicas in sync, of all.'),
            column('Age', 'date', '.metadata.creationTimestamp', 'Time since it was created.'),
          ],
          schema: { openAPIV3Schema: openApiSchema() },
        },
      ],
    },
  };
}
