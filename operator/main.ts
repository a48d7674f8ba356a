// The operator program: reads its environment, runs one replica until SIGTERM, and ends when another replica may have become the active one.
import { pino } from 'pino';
import { parseConfig } from './config.ts';
import { kubeEndpoint } from './controller/kube-endpoint.ts';
import { startOperator } from './controller/operator.ts';

const config = parseConfig(process.env);
const log = pino({ name: 'operator', level: config.logLevel });

const operator = await startOperator(kubeEndpoint(process.env), config, log);
for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.once(signal, () => {
    log.info({ signal }, 'stopping');
    void operator.stop();
  });
const outcome = await operator.ended;
log.info({ outcome }, 'operator ended');
// Kubernetes starts it anew, as a candidate.
process.exitCode = outcome === 'lost' ? 1 : 0;
