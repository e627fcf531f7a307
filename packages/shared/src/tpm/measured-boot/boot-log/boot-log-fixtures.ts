/** Boots that were recorded in virtual machines, and logs written anew from changed events, for tests. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { invalidArgument } from '../../../errors/bonafide-error.js';
import { algorithmOf, digestBytes, PCR_BANKS, type PcrBank } from '../../algorithm.js';
import { parseEventLog, type EventLog, type LogEvent } from '../event-log.js';
import type { ImaEntry, MeasuredFile } from '../ima-list.js';
import { ImaWalk, type ImaProgress } from '../match-ima-list.js';

export interface RecordedBoot {
  readonly raw: Buffer;
  readonly log: EventLog;
  /** Every PCR of every active bank, read in the machine after it booted. */
  readonly pcrs: ReadonlyMap<PcrBank, ReadonlyMap<number, Buffer>>;
  /** What the machine's own EFI variable SecureBoot says. */
  readonly isSecureBootOn: boolean;
  /** What tpm2_eventlog of tpm2-tools 5.4 says of the log. */
  readonly yaml: string;
  /** PCRs of the SHA-256 bank as quoted in the machine, and its IMA list, read a little later. */
  readonly quoted: ReadonlyMap<number, Buffer>;
  readonly imaList: Buffer;
  readonly imaAscii: string;
}

const attestationSchema = z.object({
  pcrs: z.record(z.string(), z.string()),
  imaLog: z.string(),
  imaAscii: z.string(),
});

export type RecordedBootName = 'sb-on' | 'sb-off';

export function recordedBoot(name: RecordedBootName): RecordedBoot {
  const read = (file: string): Buffer =>
    readFileSync(new URL(`../../fixtures/${name}/${file}`, import.meta.url));
  const raw = read('binary_bios_measurements');
  const attestation = attestationSchema.parse(JSON.parse(read('attestation.json').toString()));
  return {
    raw,
    log: parseEventLog(raw),
    pcrs: parsePcrs(read('pcrs.txt').toString()),
    isSecureBootOn: read('efivar_SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c')[4] === 1,
    yaml: read('tpm2_eventlog.yaml').toString(),
    quoted: new Map(
      Object.entries(attestation.pcrs).map(([pcr, value]) => [Number(pcr), Buffer.from(value, 'hex')]),
    ),
    imaList: Buffer.from(attestation.imaLog, 'base64'),
    imaAscii: attestation.imaAscii,
  };
}

function parsePcrs(text: string): ReadonlyMap<PcrBank, ReadonlyMap<number, Buffer>> {
  const banks = new Map<PcrBank, Map<number, Buffer>>();
  for (const line of text.trim().split('\n')) {
    const [name, pcr, value] = line.split(' ');
    const bank = PCR_BANKS.find((candidate) => candidate === name);
    if (bank === undefined || value === undefined) {
      throw new Error(`unexpected line of PCRs: ${line}`);
    }
    const values = banks.get(bank) ?? new Map<number, Buffer>();
    banks.set(bank, values.set(Number(pcr), Buffer.from(value, 'hex')));
  }
  return banks;
}

export interface WrittenLog {
  /** Named by the header. */
  readonly banks: readonly PcrBank[];
  readonly events: readonly Omit<LogEvent, 'index'>[];
}

/** A crypto-agile log as firmware would write it. */
export function writeEventLog({ banks, events }: WrittenLog): Buffer {
  const specification = Buffer.concat([
    Buffer.from('Spec ID Event03\0'),
    uint32(0),
    Buffer.from([0, 2, 0, 2]),
    uint32(banks.length),
    ...banks.flatMap((bank) => [uint16(algorithmOf(bank)), uint16(digestBytes(bank))]),
    Buffer.from([0]),
  ]);
  const header = [uint32(0), uint32(3), Buffer.alloc(20), uint32(specification.length), specification];
  return Buffer.concat([...header, ...events.flatMap(writeEvent)]);
}

function writeEvent({ pcr, type, digests, data }: Omit<LogEvent, 'index'>): readonly Buffer[] {
  const written = [...digests].flatMap(([bank, digest]) => [uint16(algorithmOf(bank)), digest]);
  return [uint32(pcr), uint32(type), uint32(digests.size), ...written, uint32(data.length), data];
}

/** As TPM 1.2 has it: SHA-1 alone and no header. */
export function writeLegacyLog(events: readonly Omit<LogEvent, 'index'>[]): Buffer {
  return Buffer.concat(
    events.flatMap(({ pcr, type, digests, data }) => [
      uint32(pcr),
      uint32(type),
      digests.get('sha1') ?? Buffer.alloc(20),
      uint32(data.length),
      data,
    ]),
  );
}

export interface ImaMatch {
  readonly progress: ImaProgress;
  /** Those that the quote proves. */
  readonly entries: readonly ImaEntry[];
  readonly files: readonly MeasuredFile[];
  readonly violations: number;
}

/** Walks the whole list. @throws BonafideError when no beginning of it leads to the quoted value. */
export function matchImaList(
  entries: readonly ImaEntry[],
  { bank, quoted, from }: { readonly bank: PcrBank; readonly quoted: Buffer; readonly from?: ImaProgress },
): ImaMatch {
  const walk = new ImaWalk(bank, from);
  const proven: ImaEntry[] = [];
  const files: MeasuredFile[] = [];
  while (!walk.isAt(quoted)) {
    const entry = entries[proven.length];
    if (entry === undefined) throw invalidArgument('no beginning of the IMA list leads to the quoted PCR 10');
    const file = walk.take(entry);
    proven.push(entry);
    if (file !== undefined) files.push(file);
  }
  const violations = proven.filter(({ file }) => file === undefined).length;
  return { progress: walk.progress, entries: proven, files, violations };
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}
