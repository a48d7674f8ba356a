// A reader of server-sent events that keeps all it was sent, comments too, and can stop reading.
import type { IncomingMessage } from 'node:http';
import type { CallOptions, ProcessApi } from './process-api.ts';

export interface ReceivedEvent {
  readonly event: string;
  readonly id: number | null;
  readonly data: unknown;
}

function parseBlock(block: string): ReceivedEvent | null {
  const fields = new Map(block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)] as const));
  const data = fields.get('data');
  if (data === undefined) return null;
  const id = fields.get('id');
  return { event: fields.get('event') ?? 'message', id: id === undefined ? null : Number(id), data: JSON.parse(data) };
}

export class EventSource {
  readonly events: ReceivedEvent[] = [];
  comments = 0;
  isEnded = false;
  readonly response: IncomingMessage;
  #rest = '';

  constructor(response: IncomingMessage) {
    this.response = response;
    response.setEncoding('utf8');
    response.on('data', (text: string) => {
      const blocks = (this.#rest + text).split('\n\n');
      this.#rest = blocks.pop() ?? '';
      for (const block of blocks) {
        const event = parseBlock(block);
        if (event !== null) this.events.push(event);
        else if (block.startsWith(':')) this.comments += 1;
      }
    });
    response.once('close', () => {
      this.isEnded = true;
    });
    response.on('error', () => {
      this.isEnded = true;
    });
  }

  static async open(api: ProcessApi, path: string, options?: CallOptions): Promise<EventSource> {
    return new EventSource(await api.open(path, options));
  }

  ids(event: string): (number | null)[] {
    return this.events.filter((one) => one.event === event).map(({ id }) => id);
  }

  close(): void {
    this.response.destroy();
  }
}
