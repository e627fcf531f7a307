/**
 * The log of a measured boot and the PCR values it leads to (TCG PC Client Platform Firmware Profile, section 10).
 *
 * Nothing in a log can be believed before its replay equals quoted PCRs, and then only the order of the digests in each
 * PCR: the types, the data and the order across PCRs are what the presenter says.
 */
import { createHash } from 'node:crypto';
import { invalidArgument } from '../../errors/bonafide-error.js';
import { digestBytes, PCR_COUNT, type PcrBank } from '../algorithm.js';
import { EVENT_TYPE } from './boot-log/event-type.js';
import { LittleEndianReader } from './boot-log/little-endian-reader.js';
import {
  isSpecificationEvent,
  parseSpecificationEvent,
  type LogAlgorithm,
} from './boot-log/specification-event.js';

export const MAXIMUM_EVENT_LOG_BYTES = 2 * 1024 * 1024;
export const MAXIMUM_EVENTS = 20_000;
const MAXIMUM_EVENT_BYTES = 1024 * 1024;

const LOCALITY_SIGNATURE = Buffer.from('StartupLocality\0');

export interface LogEvent {
  /** Place in the log from 0 on; in a crypto-agile log 0 is the header, which is no event of ours. */
  readonly index: number;
  readonly pcr: number;
  readonly type: number;
  /** In every bank of the log; not extended anywhere for EV_NO_ACTION. */
  readonly digests: ReadonlyMap<PcrBank, Buffer>;
  readonly data: Buffer;
}

export interface EventLog {
  /** SHA-1 alone for the format of TPM 1.2. */
  readonly banks: readonly PcrBank[];
  readonly events: readonly LogEvent[];
  /** What the last byte of PCR 0 was before its first measurement: 0, 3, or 4 with a hardware CRTM. */
  readonly startupLocality: number;
}

/**
 * @throws BonafideError invalid_argument when the log is not whole, is over a limit, or an event does not carry exactly
 *   the digests that the header names
 */
export function parseEventLog(raw: Buffer): EventLog {
  if (raw.length > MAXIMUM_EVENT_LOG_BYTES) {
    throw invalidArgument(
      `the boot log has ${raw.length} bytes: expected at most ${MAXIMUM_EVENT_LOG_BYTES}`,
    );
  }
  const reader = new LittleEndianReader(raw, 'the boot log');
  const first = readLegacyEvent(reader, 0);
  const isCryptoAgile = first.type === EVENT_TYPE.noAction && isSpecificationEvent(first.data);
  const algorithms = isCryptoAgile ? parseSpecificationEvent(first.data) : undefined;
  const events: LogEvent[] = isCryptoAgile ? [] : [first];
  while (!reader.isAtEnd) {
    const index = events.length + (isCryptoAgile ? 1 : 0);
    if (index >= MAXIMUM_EVENTS) {
      throw invalidArgument(`the boot log has more than ${MAXIMUM_EVENTS} events`);
    }
    events.push(
      algorithms === undefined ? readLegacyEvent(reader, index) : readEvent(reader, index, algorithms),
    );
  }
  const banks = algorithms?.flatMap(({ bank }) => bank ?? []) ?? ['sha1' as const];
  return { banks, events, startupLocality: startupLocalityOf(events) };
}

/**
 * The PCR values the log leads to; only PCRs with a measurement, so that "nothing was measured" stays visible.
 *
 * @throws BonafideError invalid_argument when the log has no digests of this bank
 */
export function replayEventLog(log: EventLog, bank: PcrBank): ReadonlyMap<number, Buffer> {
  const size = digestBytes(bank);
  const values = new Map<number, Buffer>();
  for (const event of measurementsOf(log)) {
    const before = values.get(event.pcr) ?? initialValue(size, event.pcr === 0 ? log.startupLocality : 0);
    values.set(event.pcr, createHash(bank).update(before).update(digestOf(event, bank)).digest());
  }
  return values;
}

/** The events that were extended into a PCR; those of one PCR only, if it is given. */
export function measurementsOf(log: EventLog, pcr?: number): readonly LogEvent[] {
  return log.events.filter(
    (event) => event.type !== EVENT_TYPE.noAction && (pcr === undefined || event.pcr === pcr),
  );
}

/** @throws BonafideError invalid_argument when the log has no digests of this bank */
export function digestOf(event: LogEvent, bank: PcrBank): Buffer {
  const digest = event.digests.get(bank);
  if (digest === undefined) {
    throw invalidArgument(`the boot log has no ${bank} digests: the firmware did not measure into that bank`);
  }
  return digest;
}

function initialValue(size: number, locality: number): Buffer {
  const value = Buffer.alloc(size);
  value[size - 1] = locality;
  return value;
}

/** TCG_PCClientPCREvent: the only form of TPM 1.2, and the form of the header. */
function readLegacyEvent(reader: LittleEndianReader, index: number): LogEvent {
  const { pcr, type } = readPlace(reader, index);
  return { index, pcr, type, digests: new Map([['sha1', reader.bytes(20)]]), data: readData(reader, index) };
}

/** TCG_PCR_EVENT2 */
function readEvent(reader: LittleEndianReader, index: number, algorithms: readonly LogAlgorithm[]): LogEvent {
  const { pcr, type } = readPlace(reader, index);
  const digests = readDigests(reader, index, algorithms);
  return { index, pcr, type, digests, data: readData(reader, index) };
}

function readPlace(
  reader: LittleEndianReader,
  index: number,
): { readonly pcr: number; readonly type: number } {
  const pcr = reader.uint32();
  const type = reader.uint32();
  if (pcr >= PCR_COUNT && type !== EVENT_TYPE.noAction) {
    throw invalidArgument(`event ${index} of the boot log is of PCR ${pcr}: expected 0 to ${PCR_COUNT - 1}`);
  }
  return { pcr, type };
}

function readDigests(
  reader: LittleEndianReader,
  index: number,
  algorithms: readonly LogAlgorithm[],
): ReadonlyMap<PcrBank, Buffer> {
  const count = reader.uint32();
  if (count !== algorithms.length) {
    throw invalidArgument(
      `event ${index} of the boot log has ${count} digests: expected ${algorithms.length}`,
    );
  }
  const digests = new Map<PcrBank, Buffer>();
  const missing = new Set(algorithms);
  for (let read = 0; read < count; read++) {
    const id = reader.uint16();
    const algorithm = algorithms.find((candidate) => candidate.id === id);
    if (algorithm === undefined || !missing.delete(algorithm)) {
      throw invalidArgument(
        `event ${index} of the boot log has an unexpected digest of 0x${id.toString(16)}`,
      );
    }
    const digest = reader.bytes(algorithm.digestSize);
    if (algorithm.bank !== undefined) {
      digests.set(algorithm.bank, digest);
    }
  }
  return digests;
}

function readData(reader: LittleEndianReader, index: number): Buffer {
  const size = reader.uint32();
  if (size > MAXIMUM_EVENT_BYTES) {
    throw invalidArgument(
      `event ${index} of the boot log has ${size} bytes: expected at most ${MAXIMUM_EVENT_BYTES}`,
    );
  }
  return reader.bytes(size);
}

/** Section 10.4.5.3: at most once, and before anything is measured into PCR 0. */
function startupLocalityOf(events: readonly LogEvent[]): number {
  const statements = events.filter(
    ({ type, data }) =>
      type === EVENT_TYPE.noAction && data.subarray(0, LOCALITY_SIGNATURE.length).equals(LOCALITY_SIGNATURE),
  );
  const [statement] = statements;
  if (statement === undefined) {
    return 0;
  }
  const isFirst = !events
    .slice(0, events.indexOf(statement))
    .some(({ pcr, type }) => pcr === 0 && type !== EVENT_TYPE.noAction);
  const locality = statement.data[LOCALITY_SIGNATURE.length];
  const isWhole = statement.pcr === 0 && statement.data.length === LOCALITY_SIGNATURE.length + 1;
  if (statements.length > 1 || !isFirst || !isWhole || (locality !== 0 && locality !== 3 && locality !== 4)) {
    throw invalidArgument(
      'the boot log states its startup locality wrongly: expected once, before PCR 0 is measured, 0, 3 or 4',
    );
  }
  return locality;
}
