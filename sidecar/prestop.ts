// The preStop hook of the sidecar: `node sidecar/prestop.ts`, with CC_PORT in the environment. Asks the sidecar beside it to hand over.
// An HTTP hook comes from the node's address and carries no credentials, so that anyone could send it; this comes from inside the pod.
// It imports nothing of ours, to start fast. Exit code 1 (an Event of the pod) when the sidecar did not confirm; the pod stops all the same.
import { request } from 'node:http';

/** Longer than a hand-over takes, well below the default grace period of a pod (30 s). */
const timeoutMs = 10_000;

const call = request(
  { host: '127.0.0.1', port: process.env['CC_PORT'], path: '/prestop', method: 'POST', signal: AbortSignal.timeout(timeoutMs) },
  (response) => {
    response.resume();
    if (response.statusCode !== 200) process.exitCode = 1;
  },
);
call.on('error', (error) => {
  process.stderr.write(`hand-over was not confirmed: ${error.message}\n`);
  process.exitCode = 1;
});
call.end();
