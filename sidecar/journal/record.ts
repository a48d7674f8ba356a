// One frame as it stands in a segment: a fixed header, then the frame's bytes.
//   0 marker (4)  4 CRC-32 of all that follows (4)  8 length of the frame (4)  12 durable index (8)  20 hash (32)  52 frame
// Numbers are big-endian. The marker has a byte that UTF-8 never has, so that it is not found inside a frame's JSON.
// The CRC-32 is that of zlib (IEEE 802.3): it finds damage; that frames follow each other is for the chain hash to say.
import { crc32 } from 'node:zlib';
import { limits, type Frame } from '../core/frame.ts';

const marker = Buffer.from([0xff, 0x43, 0x43, 0x52]);
const checkedFrom = 8;
const recordHeaderBytes = 52;
export const maxRecordBytes = recordHeaderBytes + limits.frameBytes;

export interface StoredRecord {
  readonly kind: 'record';
  /** Bytes that the record takes, header included. */
  readonly size: number;
  readonly checksum: number;
  /** All frames up to this index were durable before this record was written. Tells a torn end (cut it) from damage to what was durable (refuse it). */
  readonly durableIndex: number;
  readonly hash: string;
  /** A view of the buffer that it was decoded from. */
  readonly frameBytes: Uint8Array;
}
export type DecodedRecord =
  | StoredRecord
  /** The buffer ends before the record does. */
  | { readonly kind: 'incomplete'; readonly error: string }
  | { readonly kind: 'invalid'; readonly error: string };

export const recordSize = ({ bytes }: Frame): number => recordHeaderBytes + bytes.length;

/** The records of frames that are written at once, and the checksum of each. */
export function encodeRecords(frames: readonly Frame[], durableIndex: number): { bytes: Buffer; checksums: number[] } {
  const bytes = Buffer.allocUnsafe(frames.reduce((sum, frame) => sum + recordSize(frame), 0));
  let at = 0;
  const checksums = frames.map((frame) => {
    const checksum = encodeRecord(frame, durableIndex, bytes, at);
    at += recordSize(frame);
    return checksum;
  });
  return { bytes, checksums };
}

/** Writes the record at `at` and returns its checksum. `into` must have room for `recordSize`. */
function encodeRecord(frame: Frame, durableIndex: number, into: Buffer, at: number): number {
  marker.copy(into, at);
  into.writeUInt32BE(frame.bytes.length, at + 8);
  into.writeBigUInt64BE(BigInt(durableIndex), at + 12);
  into.write(frame.hash, at + 20, 'hex');
  into.set(frame.bytes, at + recordHeaderBytes);
  const checksum = crc32(into.subarray(at + checkedFrom, at + recordHeaderBytes + frame.bytes.length));
  into.writeUInt32BE(checksum, at + 4);
  return checksum;
}

/** Reads the record at `at`. `position` is where `at` lies in the file, for the error. Never throws, never allocates by what the bytes claim. */
export function decodeRecord(buffer: Buffer, at: number, position: number): DecodedRecord {
  const where = `record at offset ${String(position)}`;
  if (buffer.length - at < recordHeaderBytes) return { kind: 'incomplete', error: `${where} ends inside its header` };
  if (marker.compare(buffer, at, at + marker.length) !== 0) return { kind: 'invalid', error: `${where} has no marker` };
  const length = buffer.readUInt32BE(at + 8);
  if (length > limits.frameBytes) return { kind: 'invalid', error: `${where} claims ${String(length)} bytes` };
  const size = recordHeaderBytes + length;
  if (buffer.length - at < size) return { kind: 'incomplete', error: `${where} ends inside its frame` };
  const checksum = crc32(buffer.subarray(at + checkedFrom, at + size));
  if (checksum !== buffer.readUInt32BE(at + 4)) return { kind: 'invalid', error: `${where} does not match its checksum` };
  return {
    kind: 'record',
    size,
    checksum,
    durableIndex: Number(buffer.readBigUInt64BE(at + 12)),
    hash: buffer.toString('hex', at + 20, at + recordHeaderBytes),
    frameBytes: buffer.subarray(at + recordHeaderBytes, at + size),
  };
}

/** Where the next marker stands at or after `at`; -1 when there is none. */
export const nextMarker = (buffer: Buffer, at: number): number => buffer.indexOf(marker, at);
