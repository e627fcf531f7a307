/** Machines for software TPMs: as a recorded machine booted, with a list of files that it measured since. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { digestBytes, IMA_PCR, PCR_COUNT, type PcrBank } from '@bonafide/shared/tpm/algorithm';
import { parseEventLog, replayEventLog } from '@bonafide/shared/tpm/measured-boot/event-log';
import { bootAggregate } from '@bonafide/shared/tpm/measured-boot/match-ima-list';
import type { Machine } from './software-tpm.js';

const TEMPLATE = Buffer.from('ima-ng', 'latin1');

export const EVENT_LOG_PATH = new URL(
  `${import.meta.url.endsWith('.ts') ? '../../..' : '../../../..'}/packages/shared/src/tpm/fixtures/sb-on/binary_bios_measurements`,
  import.meta.url,
);

/** With Secure Boot, as the recorded log says. */
export function recordedMachine(banks: readonly PcrBank[]): Machine {
  const eventLog = readFileSync(EVENT_LOG_PATH);
  const log = parseEventLog(eventLog);
  const pcrs = banks.map((bank) => {
    const replayed = replayEventLog(log, bank);
    const values = Array.from(
      { length: PCR_COUNT },
      (_, pcr) => [pcr, replayed.get(pcr) ?? Buffer.alloc(digestBytes(bank))] as const,
    );
    return [bank, new Map(values)] as const;
  });
  return { pcrs: new Map(pcrs), eventLog };
}

/** SHA-256 of the file at that place of the list, hex. */
export function measuredFile(index: number): string {
  return createHash('sha256').update(`file ${index}`).digest('hex');
}

/** @param count of entries, the boot aggregate among them. */
export function withMeasuredFiles(machine: Machine, count: number): Machine {
  const sha256 = machine.pcrs.get('sha256') ?? new Map<number, Buffer>();
  const entries: Buffer[] = [];
  let pcr: Buffer = Buffer.alloc(32);
  for (let index = 0; index < count; index += 1) {
    const data =
      index === 0
        ? templateData(bootAggregate('sha256', sha256), 'boot_aggregate')
        : templateData(Buffer.from(measuredFile(index), 'hex'), `/usr/lib/x86_64-linux-gnu/lib${index}.so.1`);
    const header = Buffer.alloc(4);
    header.writeUInt32LE(IMA_PCR);
    const template = createHash('sha1').update(data).digest();
    entries.push(Buffer.concat([header, template, counted(TEMPLATE), counted(data)]));
    pcr = createHash('sha256').update(pcr).update(createHash('sha256').update(data).digest()).digest();
  }
  return {
    ...machine,
    pcrs: new Map([['sha256', new Map([...sha256, [IMA_PCR, pcr]])]]),
    imaFrom: (entry) => Buffer.concat(entries.slice(entry)),
  };
}

function templateData(digest: Buffer, path: string): Buffer {
  return Buffer.concat([
    counted(Buffer.concat([Buffer.from('sha256:\0', 'latin1'), digest])),
    counted(Buffer.from(`${path}\0`, 'latin1')),
  ]);
}

function counted(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return Buffer.concat([length, bytes]);
}
