// How large a message over NATS may be.
import { limits } from '../core/frame.ts';

/** Room for the headers of a message; `max_payload` of NATS counts them. */
const headerBytes = 1024;
/** `max_payload` that the servers must allow; their default is 1 MiB. */
export const neededPayloadBytes = limits.frameBytes + headerBytes;
