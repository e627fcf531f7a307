import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { PCR_BANKS } from '../algorithm.js';
import { recordedBoot, uint32, writeEventLog } from './boot-log/boot-log-fixtures.js';
import { EVENT_TYPE_NAMES } from './boot-log/event-type.js';
import { parseEventLog, replayEventLog, type EventLog } from './event-log.js';

const isInstalled = spawnSync('tpm2_eventlog', ['--version']).status === 0;
const hasTool = isInstalled ? '' : ' (skipped: tpm2_eventlog of tpm2-tools is not installed)';

const yamlSchema = z.object({
  events: z.array(
    z.object({
      PCRIndex: z.number(),
      EventType: z.string(),
      EventSize: z.number(),
      Digests: z.array(z.object({ AlgorithmId: z.enum(PCR_BANKS), Digest: z.string() })).optional(),
    }),
  ),
  pcrs: z.partialRecord(z.enum(PCR_BANKS), z.record(z.string(), z.string())),
});

/** What tpm2_eventlog printed says the same as we do: every event, every digest, every PCR. */
function expectAgreement(log: EventLog, yaml: string): void {
  // Numbers are kept as text: the tool prints PCRs as numbers of 256 bits.
  const printed = yamlSchema.parse(parse(yaml.replaceAll(/: 0x([0-9a-f]+)$/gmu, ': "$1"')));
  const [, ...events] = printed.events;
  expect(log.events.length).toBe(events.length);
  for (const [place, event] of log.events.entries()) {
    const said = events[place];
    expect(said?.PCRIndex).toBe(event.pcr);
    expect(said?.EventType).toBe(EVENT_TYPE_NAMES.get(event.type));
    expect(said?.EventSize).toBe(event.data.length);
    expect(new Map(said?.Digests?.map(({ AlgorithmId, Digest }) => [AlgorithmId, Digest]))).toEqual(
      new Map([...event.digests].map(([bank, digest]) => [bank, digest.toString('hex')])),
    );
  }
  for (const bank of log.banks) {
    const replayed = [...replayEventLog(log, bank)].map(([pcr, value]) => [
      String(pcr),
      value.toString('hex'),
    ]);
    expect(Object.fromEntries(replayed)).toEqual(printed.pcrs[bank]);
  }
}

function runTool(raw: Buffer): string {
  const directory = mkdtempSync(join(tmpdir(), 'bonafide-eventlog-'));
  try {
    writeFileSync(join(directory, 'log'), raw);
    const { status, stdout, stderr } = spawnSync('tpm2_eventlog', [join(directory, 'log')], {
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([0, '']);
    return stdout;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describe.each(['sb-on', 'sb-off'] as const)('the boot log %s', (name) => {
  it('says what tpm2_eventlog 5.4 was recorded saying', () => {
    const { log, yaml } = recordedBoot(name);
    expectAgreement(log, yaml);
  });

  it.skipIf(!isInstalled)(`says what the installed tpm2_eventlog says${hasTool}`, () => {
    const { log, raw } = recordedBoot(name);
    expectAgreement(log, runTool(raw));
  });
});

// Without EV_NO_ACTION: the tool extends it into PCR 0, which the profile rules out (section 10.4.1).
it.skipIf(!isInstalled)(`a log of four banks says what tpm2_eventlog says${hasTool}`, () => {
  const events = [0, 1, 4, 4, 7].map((pcr, place) => {
    const data = uint32(place);
    const digests = new Map(PCR_BANKS.map((bank) => [bank, createHash(bank).update(data).digest()]));
    return { pcr, type: 4, digests, data };
  });
  const raw = writeEventLog({ banks: PCR_BANKS, events });

  expectAgreement(parseEventLog(raw), runTool(raw));
});
