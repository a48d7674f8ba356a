// What this member is: role and status; the probes of Kubernetes and of load balancers; the hand-over before a stop.
// Probes need no credentials and say no more than why they fail.
import { z } from 'zod';
import { memberPhases, memberReportSchema } from '../../common/report.ts';
import type { ControlProcess } from './process.ts';
import type { Route } from './route.ts';

export const roleSchema = z
  .strictObject({
    role: z.enum(['leader', 'follower', 'dr', 'none']),
    phase: z.enum(memberPhases),
    epoch: z.int().min(0),
    leader: z.string().nullable().describe('The pod that leads, as far as this member knows.'),
    uid: z.int().min(0).describe('UID of the last change that is applied here.'),
  })
  .meta({ id: 'Role' });

const statusSchema = z
  .strictObject({
    role: roleSchema,
    ready: z.boolean().describe('Leads, or follows in sync, now.'),
    started: z.boolean().describe('Led, or followed in sync, since this process started (I7).'),
    report: memberReportSchema,
  })
  .meta({ id: 'Status' });

const probeSchema = z
  .strictObject({
    ok: z.boolean(),
    phase: z.enum(memberPhases),
    reason: z.string().nullable().describe('Why the member is in this phase, in one word.'),
    message: z.string().nullable().describe('The evidence and the next step.'),
  })
  .meta({ id: 'Probe' });

function probe(path: string, summary: string, process: ControlProcess, holds: () => boolean): Route {
  return {
    method: 'GET',
    path,
    access: 'open',
    summary,
    answers: { 200: { description: 'Yes.', schema: probeSchema }, 503: { description: 'No, and why.', schema: probeSchema } },
    handler: (_request, reply) => {
      const ok = holds();
      const { phase, reason = null, message = null } = process.report();
      return reply.code(ok ? 200 : 503).send({ ok, phase, reason, message });
    },
  };
}

export function memberRoutes(process: ControlProcess): Route[] {
  return [
    {
      method: 'GET',
      path: '/v1/role',
      access: 'read',
      summary: 'The role of this member now.',
      answers: { 200: { description: 'The role.', schema: roleSchema } },
      handler: (_request, reply) => reply.send(process.role()),
    },
    {
      method: 'GET',
      path: '/v1/status',
      access: 'read',
      summary: 'All that this member knows of itself: role, phase and why, leader, position, lag.',
      answers: { 200: { description: 'The status.', schema: statusSchema } },
      handler: (_request, reply) =>
        reply.send({ role: process.role(), ready: process.ready(), started: process.started(), report: process.report() }),
    },
    probe('/livez', 'The sidecar answers.', process, () => true),
    probe('/readyz', 'This member leads, or follows in sync.', process, () => process.ready()),
    probe('/startupz', 'The start gate: this member led, or followed in sync, since it started (I7).', process, () => process.started()),
    probe('/leader', 'This member leads.', process, () => process.role().role === 'leader'),
    {
      method: 'POST',
      path: '/prestop',
      access: 'pod',
      summary: 'Take no more writes and hand leadership over. Called by the preStop hook; from inside the pod only.',
      answers: { 200: { description: 'Handed over, or tried for as long as may be; the role now.', schema: roleSchema } },
      handler: async (_request, reply) => {
        await process.handOver();
        return reply.send(process.role());
      },
    },
  ];
}
