// /v1/openapi.json: OpenAPI 3.1, from the routes and from the zod schemas that validate. Nothing in it is written twice.
import { z } from 'zod';
import { problemSchema, problemType } from './problem.ts';
import { jsonType, type Route } from './route.ts';

const openapiVersion = '3.1.0';
type JsonObject = Record<string, unknown>;

const reference = (name: string): string => `#/components/schemas/${name}`;

/** Collects the schemas that have a name, and refers to them. */
class Components {
  readonly schemas: Record<string, JsonObject> = {};

  /** A schema without an id is kept under `name`, which must be unique. */
  refer(schema: z.ZodType, name: string): JsonObject {
    const id = schema.meta()?.id ?? name;
    const { $schema: _dialect, $defs = {}, ...own } = this.#convert(schema, id);
    for (const [def, inner] of Object.entries($defs as Record<string, JsonObject>))
      this.schemas[def.startsWith('__') ? `${id}.${def}` : def] ??= inner;
    if (own['$ref'] !== reference(id)) this.schemas[id] ??= own;
    return { $ref: reference(id) };
  }

  /** What zod defines beside a schema becomes a component: under its id, or, as it numbers the others anew each time, under `id` and the number. */
  #convert(schema: z.ZodType, id: string): JsonObject {
    const text = JSON.stringify(z.toJSONSchema(schema, { io: 'input' }))
      .replaceAll('"#/$defs/__', `"${reference(id)}.__`)
      .replaceAll('"#/$defs/', `"${reference('')}`)
      .replaceAll('"$ref":"#"', `"$ref":"${reference(id)}"`);
    return JSON.parse(text) as JsonObject;
  }
}

function parametersOf(schema: z.ZodObject | undefined, place: 'query' | 'header'): JsonObject[] {
  if (schema === undefined) return [];
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: 'input' });
  return Object.entries(properties).map(([name, property]) => {
    const { description, ...rest } = property as JsonObject;
    // In a query everything is text, a default too.
    const schema = rest['type'] === 'integer' && 'default' in rest ? { ...rest, default: Number(rest['default']) } : rest;
    return { name, in: place, required: required.includes(name), ...(description !== undefined && { description }), schema };
  });
}

const pathDescriptions: Readonly<Record<string, string>> = {
  key: 'The rest of the path, percent-encoded; `/` may stay.',
  id: 'Of an archive, as `/v1/archives` lists it.',
};
const pathParametersOf = (path: string): JsonObject[] =>
  Array.from(path.matchAll(/\{(\w+)\}/g), ([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    description: pathDescriptions[name],
    schema: { type: 'string' },
  }));

function describeRoute(route: Route, name: string, components: Components): JsonObject {
  const content = (schema: z.ZodType, type: string, part: string): JsonObject => ({
    [type]: { schema: components.refer(schema, `${name}.${part}`) },
  });
  const answers = Object.entries(route.answers).map(([status, { description, type, schema }]) => [
    status,
    {
      description,
      ...(schema !== undefined
        ? { content: content(schema, type ?? jsonType, status) }
        : type !== undefined && { content: { [type]: {} } }),
    },
  ]);
  const bodies = Object.entries(route.body ?? {});
  return {
    operationId: name,
    summary: route.summary,
    security: route.access === 'open' || route.access === 'pod' ? [] : [{ bearer: [] }, {}],
    parameters: [...pathParametersOf(route.path), ...parametersOf(route.query, 'query'), ...parametersOf(route.headers, 'header')],
    ...(bodies.length > 0 && {
      requestBody: {
        required: true,
        content: Object.assign({}, ...bodies.map(([type, schema]) => content(schema, type, 'body'))) as JsonObject,
      },
    }),
    responses: {
      ...(Object.fromEntries(answers) as JsonObject),
      default: {
        description: 'A problem document (RFC 9457).',
        content: { [problemType]: { schema: components.refer(problemSchema, 'Problem') } },
      },
    },
  };
}

/** `put.v1.state.key` for `PUT /v1/state/{key}`. */
const operationName = ({ method, path }: Route): string => [method.toLowerCase(), ...(path.match(/[a-z0-9.]+/g) ?? [])].join('.');

function describeApi(routes: readonly Route[]): JsonObject {
  const components = new Components();
  const paths: Record<string, JsonObject> = {};
  for (const route of routes)
    (paths[route.path] ??= {})[route.method.toLowerCase()] = describeRoute(route, operationName(route), components);
  return {
    openapi: openapiVersion,
    info: { title: 'ControlCluster Process API', version: 'v1', license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    servers: [{ url: '/' }],
    paths,
    components: {
      schemas: components.schemas,
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', description: 'A Kubernetes token; callers inside the pod need none.' } },
    },
  };
}

/** Describes `routes` and itself. Built when it is first asked for. */
export function openApiRoute(routes: readonly Route[]): Route {
  let text: string | null = null;
  const route: Route = {
    method: 'GET',
    path: '/v1/openapi.json',
    access: 'open',
    summary: 'This description.',
    answers: { 200: { description: 'OpenAPI 3.1.', type: jsonType } },
    handler: (_request, reply) => {
      text ??= JSON.stringify(describeApi([...routes, route]));
      return reply.type(jsonType).send(text);
    },
  };
  return route;
}
