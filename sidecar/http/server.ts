// The Process API's server: registers the routes, admits callers, turns failures into problem documents, and closes in good order.
// It knows nothing of what the routes do, and holds no state of the cluster.
import type { AddressInfo } from 'node:net';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { AppError, type ErrorCode } from '../../common/errors.ts';
import { admit, isFromPod, type Access, type Authorise } from './access.ts';
import { defaultBounds, type Bounds } from './bounds.ts';
import { archiveRoutes } from './archive-routes.ts';
import { changeRoutes } from './change-routes.ts';
import { memberRoutes } from './member-routes.ts';
import { createMetrics } from './metrics.ts';
import { openApiRoute } from './openapi.ts';
import { parseJson } from './parse.ts';
import { explain, rawProblem, sendProblem } from './problem.ts';
import type { ControlProcess } from './process.ts';
import { jsonType, ndjsonType, type Route } from './route.ts';
import { stateRoutes } from './state-routes.ts';
import { watchRoutes } from './watch-routes.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Absent on paths and methods that there are not. */
    access?: Access;
    /** Content types of the body, when there is one. */
    bodyTypes?: readonly string[];
    /** Methods that the path takes, on those that it does not. */
    allow?: string;
  }
}

export interface ServerOptions {
  readonly process: ControlProcess;
  readonly authorise: Authorise;
  readonly logger: Logger;
  /** 0 takes any free port. */
  readonly port: number;
  /** All addresses of the pod when it is not given. */
  readonly host?: string;
  readonly bounds?: Partial<Bounds>;
}

export interface Server {
  /** Resolves with the port; rejects when the address cannot be bound. */
  listen(): Promise<number>;
  /** Ends streams, lets requests under way finish for `closeTimeoutMs`, then closes every socket. */
  close(): Promise<void>;
}

const rawErrorCodes: Readonly<Record<string, [ErrorCode, string] | undefined>> = {
  HPE_HEADER_OVERFLOW: ['headers_too_large', 'The request line and headers are over the limit.'],
  ERR_HTTP_REQUEST_TIMEOUT: ['request_timeout', 'The headers did not arrive in time.'],
};

const noSchemas = (): never => {
  throw new Error('no route has a JSON Schema');
};

function createFastify(bounds: Bounds, logger: Logger): FastifyInstance {
  return fastify({
    logger: false,
    // What comes in is checked by zod: the compilers of JSON Schemas, some MiB, are never loaded.
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
    bodyLimit: bounds.bodyBytes,
    connectionTimeout: bounds.idleTimeoutMs,
    keepAliveTimeout: bounds.keepAliveTimeoutMs,
    // An NDJSON exchange may take longer than any request should; JSON bodies have `bodyTimeoutMs`.
    requestTimeout: 0,
    http: {
      maxHeaderSize: bounds.headerBytes,
      headersTimeout: bounds.headersTimeoutMs,
      connectionsCheckingInterval: bounds.headersTimeoutMs / 2,
    },
    return503OnClosing: false,
    exposeHeadRoutes: false,
    // Keys have their own limit, which is named in the answer.
    routerOptions: { maxParamLength: bounds.headerBytes },
    frameworkErrors: (error, _request, reply) => {
      sendProblem(reply, explain(error, logger), bounds.retryAfterSeconds);
    },
    clientErrorHandler: (error, socket) => {
      const [code, detail] = rawErrorCodes[error.code] ?? ['invalid_request', 'The request is not HTTP/1.1.'];
      if (socket.writable) socket.end(rawProblem(new AppError(code, detail)));
      else socket.destroy();
    },
  });
}

function acceptBodies(app: FastifyInstance, bounds: Bounds): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(jsonType, { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, body.length === 0 ? undefined : parseJson(body as Buffer, bounds.nestingDepth));
    } catch (error) {
      done(error as Error);
    }
  });
  // Read by the handler, as far as its window allows.
  app.addContentTypeParser(ndjsonType, (_request, body, done) => {
    done(null, body);
  });
  app.addHook('preParsing', (request, reply, body, done) => {
    if (contentTypeOf(request) === jsonType && !request.raw.complete) {
      const timer = setTimeout(() => request.raw.destroy(), bounds.bodyTimeoutMs);
      const stop = (): void => {
        clearTimeout(timer);
      };
      request.raw.once('end', stop);
      // A body that is over the limit is not read to its end.
      reply.raw.once('close', stop);
    }
    done(null, body);
  });
}

const contentTypeOf = ({ headers }: FastifyRequest): string => (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
const hasBody = ({ headers }: FastifyRequest): boolean =>
  headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';

/** What can be refused before the body is read. Returns the refusal, or `null`. */
function refusalOf(request: FastifyRequest, reply: FastifyReply, isClosing: boolean): AppError | null {
  const { access, allow, bodyTypes } = request.routeOptions.config;
  if (allow !== undefined) {
    reply.header('allow', allow);
    return new AppError('method_not_allowed', `The path takes ${allow}.`);
  }
  if (access === undefined) return new AppError('not_found', 'There is no such path.');
  if (isClosing && access !== 'open') return new AppError('stopping', 'The sidecar is stopping.');
  if (!hasBody(request)) return null;
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (bodyTypes === undefined || (bodyTypes.includes(contentTypeOf(request)) && encoding === 'identity')) return null;
  return new AppError('unsupported_media_type', `The path takes ${bodyTypes.join(' or ')}, without Content-Encoding.`);
}

/** In the form of the router. */
const urlOf = (path: string): string => path.replace('{key}', '*').replace('{id}', ':id');

function register(app: FastifyInstance, routes: readonly Route[]): void {
  for (const { method, path, access, body, isStream, handler } of routes)
    app.route({
      method,
      url: urlOf(path),
      handler,
      exposeHeadRoute: method === 'GET' && isStream !== true,
      config: { access, ...(body !== undefined && { bodyTypes: Object.keys(body) }) },
    });
  for (const [path, ofPath] of Map.groupBy(routes, (route) => route.path)) {
    const allowed = ofPath.flatMap(({ method, isStream }) => (method === 'GET' && isStream !== true ? ['GET', 'HEAD'] : [method]));
    app.route({
      method: app.supportedMethods.filter((method) => !allowed.includes(method)),
      url: urlOf(path),
      config: { allow: allowed.join(', ') },
      // Never reached: `refusalOf` answers.
      handler: () => undefined,
    });
  }
}

export function createServer({ process, authorise, logger, port, host, bounds: given }: ServerOptions): Server {
  const bounds: Bounds = { ...defaultBounds, ...given };
  const streams = new Set<() => void>();
  const exchanges = new Set<() => void>();
  let isClosing = false;
  const app = createFastify(bounds, logger);
  acceptBodies(app, bounds);

  app.addHook('onRequest', (request, reply, done) => {
    const refusal = refusalOf(request, reply, isClosing);
    const { access } = request.routeOptions.config;
    if (refusal !== null) done(refusal);
    else if (access === undefined || access === 'open' || isFromPod(request)) done();
    else
      admit(request, access, authorise).then(() => {
        done();
      }, done);
  });
  app.setErrorHandler((error, request, reply) => {
    // What is left of a body that nobody reads would be taken for the next request.
    if (hasBody(request) && !request.raw.complete) reply.header('connection', 'close');
    sendProblem(reply, explain(error, logger), bounds.retryAfterSeconds);
  });
  const metrics = createMetrics(process);
  app.addHook('onResponse', (_request, reply, done) => {
    metrics.countRequest(reply.raw.statusCode);
    done();
  });

  const routes = [
    ...stateRoutes(process, bounds),
    ...changeRoutes({ process, logger, bounds, exchanges }),
    ...watchRoutes({ process, logger, bounds, streams }),
    ...archiveRoutes({ process, logger, bounds, exchanges }),
    ...memberRoutes(process),
    metrics.route,
  ];
  register(app, [...routes, openApiRoute(routes)]);

  return {
    listen: async () => {
      await app.ready();
      app.server.maxConnections = bounds.connections;
      await new Promise<void>((resolve, reject) => {
        app.server.once('error', reject);
        app.server.listen({ port, ...(host !== undefined && { host }) }, resolve);
      });
      return (app.server.address() as AddressInfo).port;
    },
    close: async () => {
      isClosing = true;
      for (const end of [...streams, ...exchanges]) end();
      const timer = setTimeout(() => {
        app.server.closeAllConnections();
      }, bounds.closeTimeoutMs);
      await app.close();
      clearTimeout(timer);
    },
  };
}
