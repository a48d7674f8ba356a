// The contract of the messages between the pods of one cluster, held by core NATS, by the twin in memory and by that of the simulation.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import type { Peers } from '../../sidecar/ports.ts';
import { connectNats } from '../../sidecar/stream/connection.ts';
import { createPeers } from '../../sidecar/stream/peers.ts';
import { eventually } from '../lib/eventually.ts';
import { MemoryPeers, MemoryPeersServer } from '../lib/memory-peers.ts';
import { NatsServer } from '../lib/nats-server.ts';
import { TcpGate } from '../lib/tcp-gate.ts';
import { Chance } from '../simulation/chance.ts';
import { Network } from '../simulation/network.ts';
import { runBeside } from '../simulation/run-beside.ts';
import { Scheduler } from '../simulation/scheduler.ts';
import { SimulatedPeers, type PeersHost } from '../simulation/simulated-peers.ts';
import { drawSwarm } from '../simulation/swarm.ts';
import { Trace } from '../simulation/trace.ts';

const withinMs = 10_000;
const log = pino({ level: 'silent' });
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

interface Pod {
  readonly peers: Peers;
  cut(): void;
  heal(): void;
}

interface World {
  open(pod: string): Promise<Pod>;
  drop(): Promise<void>;
}

async function natsWorld(): Promise<World> {
  const server = await NatsServer.start();
  const closes: (() => Promise<void>)[] = [];
  return {
    async open(pod) {
      const gate = await TcpGate.start(server.address, 4222);
      const url = `nats://127.0.0.1:${String(gate.port)}`;
      const link = connectNats({ url, name: pod, credentialsDirectory: null, caFile: null, log });
      const peers = createPeers({ link, namespace: 'space', cluster: 'sample', pod, log });
      closes.push(async () => {
        peers.close();
        await link.close();
        await gate.close();
      });
      return {
        peers,
        cut() {
          gate.shut();
        },
        heal() {
          gate.open();
        },
      };
    },
    async drop() {
      for (const close of closes) await close();
      await server.drop();
    },
  };
}

async function memoryWorld(): Promise<World> {
  const server = new MemoryPeersServer();
  return {
    async open(pod) {
      const peers = new MemoryPeers(server, pod);
      return {
        peers,
        cut() {
          peers.cut();
        },
        heal() {
          peers.heal();
        },
      };
    },
    drop: async () => undefined,
  };
}

async function simulatedWorld(): Promise<World> {
  const chance = new Chance(1);
  const scheduler = new Scheduler(chance, new Trace());
  const network = new Network({ chance, scheduler, swarm: drawSwarm(chance, { calmNetwork: true }) });
  const hosts: PeersHost[] = [];
  const drop = runBeside(scheduler);
  return {
    async open(pod) {
      const host = { pod, number: hosts.length, paused: false, held: [], natsReachable: true, rate: 1 };
      const peers = new SimulatedPeers({ scheduler, network, chance, hosts }, host, { dead: false });
      hosts.push(Object.assign(host, { process: { peers } }));
      return {
        peers,
        cut() {
          host.natsReachable = false;
        },
        heal() {
          host.natsReachable = true;
        },
      };
    },
    drop,
  };
}

describe.each([
  ['over core NATS', natsWorld],
  ['in memory', memoryWorld],
  ['in a simulation', simulatedWorld],
])('peers %s', (_, makeWorld) => {
  let world: World;
  let [a, b, c]: Pod[] = [];
  let heard: Record<string, string[]> = {};

  beforeEach(async () => {
    world = await makeWorld();
    heard = { a: [], b: [], c: [] };
    [a, b, c] = await Promise.all(['a', 'b', 'c'].map((pod) => world.open(pod)));
    for (const [name, pod] of Object.entries({ a, b, c })) {
      pod?.peers.onMessage((payload) => heard[name]?.push(decode(payload)));
      pod?.peers.onRequest(async (payload) => encode(`${name} says ${decode(payload)}`));
    }
    for (const [from, to] of [
      [a, 'b'],
      [b, 'c'],
      [c, 'a'],
    ] as const) {
      await answers(from, to);
    }
  });
  afterEach(() => world.drop());

  /** At most once: what must arrive is asked for until it does. */
  async function answers(from: Pod | undefined, to: string): Promise<void> {
    await eventually(async () => {
      expect(decode((await from?.peers.request(to, encode('here'), 1000)) ?? encode(''))).toBe(`${to} says here`);
    }, withinMs);
  }

  test('hear what is sent to them alone', async () => {
    a?.peers.send('b', encode('for b'));
    await eventually(() => {
      expect(heard.b).toEqual(['for b']);
    });
    expect([heard.a, heard.c]).toEqual([[], []]);
  });

  test('hear what is sent to all, but not what they sent themselves', async () => {
    a?.peers.send('*', encode('for all'));
    await eventually(() => {
      expect([heard.b, heard.c]).toEqual([['for all'], ['for all']]);
    });
    b?.peers.send('a', encode('after'));
    await eventually(() => {
      expect(heard.a).toEqual(['after']);
    });
  });

  test('carry bytes as they are, up to a full frame', async () => {
    const payload = new Uint8Array(1000 * 1024).map((_byte, at) => at % 256);
    let received = new Uint8Array();
    b?.peers.onMessage((bytes) => {
      received = bytes.slice();
    });
    a?.peers.send('b', payload);
    await eventually(() => {
      expect(received.length).toBe(payload.length);
    });
    expect(Buffer.compare(received, payload)).toBe(0);
    b?.peers.onRequest(async (bytes) => bytes);
    expect(Buffer.compare((await a?.peers.request('b', payload, 5000)) ?? encode(''), payload)).toBe(0);
  });

  test('drop what is larger than a message may be, and go on', async () => {
    const large = new Uint8Array(2 * 1024 * 1024);
    a?.peers.send('b', large);
    await expect(a?.peers.request('b', large, 100)).rejects.toMatchObject({ code: 'outcome_unknown' });
    b?.peers.onRequest(async () => large);
    await expect(a?.peers.request('b', encode('?'), 100)).rejects.toMatchObject({ code: 'outcome_unknown' });
    a?.peers.send('b', encode('after'));
    await eventually(() => {
      expect(heard.b).toEqual(['after']);
    });
  });

  test('answer one request each, as many at a time as a follower forwards', async () => {
    const texts = Array.from({ length: 1000 }, (_unused, at) => `question ${String(at)}`);
    const replies = await Promise.all(texts.map(async (text) => decode((await a?.peers.request('c', encode(text), 5000)) ?? encode(''))));
    expect(replies).toEqual(texts.map((text) => `c says ${text}`));
  });

  test('tell one who asks a pod that is not there that nothing has happened', async () => {
    await expect(a?.peers.request('nobody', encode('?'), 2000)).rejects.toMatchObject({ code: 'no_leader' });
  });

  test('tell one who asks that the outcome is unknown when the answer is late or fails, and go on', async () => {
    b?.peers.onRequest(() => new Promise(() => undefined));
    await expect(a?.peers.request('b', encode('?'), 100)).rejects.toMatchObject({ code: 'outcome_unknown' });
    b?.peers.onRequest(async () => {
      throw new Error('defect');
    });
    await expect(a?.peers.request('b', encode('?'), 100)).rejects.toMatchObject({ code: 'outcome_unknown' });
    b?.peers.onRequest(async () => encode('well again'));
    expect(decode((await a?.peers.request('b', encode('?'), 2000)) ?? encode(''))).toBe('well again');
  });

  test('hear each other again after a cut; what was sent meanwhile comes once at most, and late at worst', async () => {
    b?.cut();
    await eventually(async () => {
      await expect(b?.peers.request('a', encode('?'), 100)).rejects.toMatchObject({
        code: expect.stringMatching(/no_leader|outcome_unknown/),
      });
    }, withinMs);
    for (let at = 0; at < 1000; at += 1) {
      b?.peers.send('a', encode(`from the dark ${String(at)}`));
      a?.peers.send('b', encode(`into the dark ${String(at)}`));
    }
    b?.heal();
    await answers(b, 'a');
    await answers(a, 'b');
    b?.peers.send('a', encode('after'));
    a?.peers.send('b', encode('after'));
    await eventually(() => {
      expect([heard.a?.at(-1), heard.b?.at(-1)]).toEqual(['after', 'after']);
    });
    for (const texts of [heard.a, heard.b]) expect(new Set(texts).size).toBe(texts?.length);
  });
});
