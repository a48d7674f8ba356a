// /v1/watch: the log as it grows; /v1/events: the role of this member as it changes. Both are server-sent events.
// A watcher is given every UID from its first on, in order, or its stream ends: nothing is skipped, not when it is slow and not when
// acknowledged changes were rewound (a forced start). Changes that its prefix leaves out still move its ids on, by `progress` events.
import assert from 'node:assert/strict';
import type { FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { z } from 'zod';
import { AppError } from '../../common/errors.ts';
import type { Bounds } from './bounds.ts';
import { loggedChangeSchema } from './change-routes.ts';
import { comment, createBell, openEventStream, renderEvent, type EventStream } from './event-stream.ts';
import { roleSchema } from './member-routes.ts';
import { checkKeyPart, readQuery, wholeNumber } from './parse.ts';
import { problemOf } from './problem.ts';
import type { ControlProcess, LoggedChange } from './process.ts';
import { eventStreamType, type Route } from './route.ts';

const uidParameter = wholeNumber(1, Number.MAX_SAFE_INTEGER - 1);

const watchQuery = z.strictObject({
  fromUid: uidParameter.optional().describe('The first UID to send; by default the next one. Last-Event-ID takes precedence.'),
  prefix: z.string().prefault('').describe('Only changes of a key or topic that begins so; each is sent whole.'),
});

export interface WatchRouteOptions {
  readonly process: ControlProcess;
  readonly logger: Logger;
  readonly bounds: Bounds;
  /** Ends each event stream that is open. */
  readonly streams: Set<() => void>;
}

function touches(change: LoggedChange, prefix: string): boolean {
  if (prefix === '') return true;
  return change.operations.some((operation) => {
    if ('put' in operation) return operation.put.key.startsWith(prefix);
    return ('delete' in operation ? operation.delete.key : operation.append.topic).startsWith(prefix);
  });
}

/** Where to begin: after Last-Event-ID, at `fromUid`, or after what is applied now. */
function firstUidOf(request: FastifyRequest, fromUid: number | undefined, process: ControlProcess): number {
  const lastEventId = request.headers['last-event-id'];
  if (lastEventId === undefined) return fromUid ?? process.uid + 1;
  const parsed = uidParameter.or(z.literal('0').transform(() => 0)).safeParse(lastEventId);
  if (!parsed.success) throw new AppError('invalid_request', 'Last-Event-ID is not a UID.');
  return parsed.data + 1;
}

/** A watcher's place in the log. */
interface Place {
  next: number;
  /** The last id that it was sent. */
  told: number;
}

/** Sends what is there, then waits for more, until the stream ends. Rejects, and so ends the process, on a broken invariant only. */
async function follow(process: ControlProcess, stream: EventStream, place: Place, prefix: string, pageSize: number): Promise<void> {
  const bell = createBell();
  const unsubscribe = process.onChange(bell.ring);
  stream.signal.addEventListener('abort', bell.ring);
  try {
    while (!stream.signal.aborted) {
      const page = await process.changes(place.next, pageSize);
      for (const change of page) {
        assert.equal(change.uid, place.next, 'the log has a gap');
        place.next += 1;
        if (!touches(change, prefix)) continue;
        place.told = change.uid;
        if (!(await stream.send(renderEvent('change', change.uid, JSON.stringify(change))))) return;
      }
      if (page.length > 0) continue;
      if (process.uid < place.next - 1) return;
      await bell.rung();
    }
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    await stream.send(renderEvent('problem', null, JSON.stringify(problemOf(error))));
  } finally {
    unsubscribe();
    stream.end();
  }
}

function watchRoute({ process, logger, bounds, streams }: WatchRouteOptions): Route {
  return {
    method: 'GET',
    path: '/v1/watch',
    access: 'read',
    summary:
      'The log as it grows. Events: `change` (id: its UID), `progress` (id: all up to it was looked at), `problem` (the stream ends).',
    query: watchQuery,
    headers: z.object({ 'last-event-id': z.string().optional().describe('The UID after which to resume.') }),
    answers: { 200: { description: '`data` of a `change` event.', type: eventStreamType, schema: loggedChangeSchema } },
    isStream: true,
    handler: async (request, reply) => {
      const { fromUid, prefix } = readQuery(request, watchQuery);
      checkKeyPart(prefix, 'prefix');
      const next = firstUidOf(request, fromUid, process);
      // Before the headers, so that a member that is behind and a log that is compacted are refused with a status.
      if (next > process.uid + 1) await process.waitFor({ kind: 'minUid', uid: next - 1 });
      await process.changes(next, 1);
      const place: Place = { next, told: next - 1 };
      const heartbeat = (): string => {
        if (place.told === place.next - 1) return comment;
        place.told = place.next - 1;
        return renderEvent('progress', place.told, JSON.stringify({ uid: place.told }));
      };
      const stream = openEventStream({ reply, streams, heartbeat, bounds, logger });
      void follow(process, stream, place, prefix, bounds.changesPage);
      return reply;
    },
  };
}

function eventsRoute({ process, logger, bounds, streams }: WatchRouteOptions): Route {
  return {
    method: 'GET',
    path: '/v1/events',
    access: 'read',
    summary: 'The role of this member: now, and at each change of role, phase, epoch or leader. Events: `role`.',
    answers: { 200: { description: '`data` of a `role` event.', type: eventStreamType, schema: roleSchema } },
    isStream: true,
    handler: (_request, reply) => {
      const stream = openEventStream({ reply, streams, heartbeat: () => comment, bounds, logger });
      let told = '';
      const tell = (): void => {
        const { uid, ...role } = process.role();
        const text = JSON.stringify(role);
        if (text === told) return;
        told = text;
        void stream.send(renderEvent('role', null, JSON.stringify({ ...role, uid })));
      };
      const unsubscribe = process.onChange(tell);
      stream.signal.addEventListener('abort', unsubscribe);
      tell();
      return reply;
    },
  };
}

export const watchRoutes = (options: WatchRouteOptions): Route[] => [watchRoute(options), eventsRoute(options)];
