import { createHash, X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { PcrBank } from '../algorithm.js';
import { recordedBoot, writeEventLog } from './boot-log/boot-log-fixtures.js';
import { parseEfiVariable } from './boot-log/efi-variable.js';
import { parseSignatureDatabase } from './boot-log/signature-database.js';
import { digestOf, parseEventLog, type EventLog, type LogEvent } from './event-log.js';
import { judgeSecureBoot } from './secure-boot.js';

const on = recordedBoot('sb-on').log;
const off = recordedBoot('sb-off').log;
const banks: readonly PcrBank[] = ['sha1', 'sha256'];
const isOfPcr7 = ({ pcr, type }: LogEvent): boolean => pcr === 7 && type !== 3;

function measured(type: number, data: Buffer): LogEvent {
  const digests = new Map(banks.map((bank) => [bank, createHash(bank).update(data).digest()]));
  return { index: 0, pcr: 7, type, digests, data };
}

function variable(type: number, guid: Buffer, name: string, value: Buffer): LogEvent {
  const lengths = Buffer.alloc(16);
  lengths.writeBigUInt64LE(BigInt(name.length));
  lengths.writeBigUInt64LE(BigInt(value.length), 8);
  return measured(type, Buffer.concat([guid, lengths, Buffer.from(name, 'utf16le'), value]));
}

const [secureBootEvent, pk, kek, db, dbx, separator, ...authorities] = on.events.filter(isOfPcr7);
if (!secureBootEvent || !pk || !kek || !db || !dbx || !separator)
  throw new Error('the recorded log is incomplete');
const configuration = [secureBootEvent, pk, kek, db, dbx];
const globalGuid = secureBootEvent.data.subarray(0, 16);
const securityGuid = db.data.subarray(0, 16);
const secureBoot = (value: number): LogEvent =>
  variable(0x80000001, globalGuid, 'SecureBoot', Buffer.from([value]));
const entries = parseSignatureDatabase(parseEfiVariable(db.data).value);

function judge(events: readonly LogEvent[], bank: PcrBank = 'sha256'): ReturnType<typeof judgeSecureBoot> {
  return judgeSecureBoot(parseEventLog(writeEventLog({ banks, events })), bank);
}

describe('judgeSecureBoot', () => {
  it.each(['sb-on', 'sb-off'] as const)('says of %s what its EFI variable says', (name) => {
    const boot = recordedBoot(name);
    for (const bank of banks) {
      const state = judgeSecureBoot(boot.log, bank);
      expect(state.isEnabled).toBe(boot.isSecureBootOn);
      expect(state.isDebug).toBe(false);
      expect(state.isDmaProtectionDisabled).toBe(false);
    }
  });

  it('names the certificate of db that vouched by its SHA-256 fingerprint', () => {
    const { dbAuthorities, otherAuthorities } = judgeSecureBoot(on, 'sha256');
    const certificates = entries.map(({ signature }) => new X509Certificate(signature));
    const used = certificates.find(({ subject }) => subject.includes('Microsoft Corporation UEFI CA 2011'));

    expect(dbAuthorities).toEqual([used?.fingerprint256.replaceAll(':', '').toLowerCase()]);
    expect(otherAuthorities.map(({ name }) => name)).toEqual(['SbatLevel', 'MokListRT']);
  });

  it('knows no authority of db where Secure Boot is off, though shim measures one of its own', () => {
    const { dbAuthorities, otherAuthorities } = judgeSecureBoot(off, 'sha256');

    expect(dbAuthorities).toEqual([]);
    expect(otherAuthorities.map(({ name }) => name)).toEqual(['SbatLevel']);
  });

  it('tells a debugger and open memory, and believes no Secure Boot with a debugger', () => {
    const debug = measured(0x80000007, Buffer.from('UEFI Debug Mode'));
    const memory = measured(0x80000007, Buffer.from('DMA Protection Disabled\0'));
    const rest = on.events.filter(isOfPcr7);

    expect(judge([debug, ...rest])).toMatchObject({ isEnabled: false, isDebug: true });
    expect(judge([memory, ...rest])).toMatchObject({ isEnabled: true, isDmaProtectionDisabled: true });
    expect(judge([debug, memory, ...rest])).toMatchObject({ isDebug: true, isDmaProtectionDisabled: true });
    expect(() => judge([debug, debug, ...rest])).toThrow('is not the variable SecureBoot');
    expect(() => judge([measured(0x80000007, Buffer.from('Fine')), ...rest])).toThrow('is not the variable');
  });

  it('believes no Secure Boot in audit mode', () => {
    const audit = variable(0x80000001, globalGuid, 'AuditMode', Buffer.from([1]));
    const deployed = variable(0x80000001, globalGuid, 'DeployedMode', Buffer.from([1]));

    expect(judge([...configuration, audit, separator, ...authorities]).isEnabled).toBe(false);
    expect(judge([...configuration, deployed, separator, ...authorities]).isEnabled).toBe(true);
  });

  it('accepts an authority before the separator: a driver from a card', () => {
    const [first, ...others] = authorities;
    if (first === undefined) throw new Error('the recorded log has no authority');

    expect(judge([...configuration, first, separator, ...others])).toEqual(judgeSecureBoot(on, 'sha256'));
  });

  it('believes no Secure Boot when nothing of db vouched for what was started', () => {
    expect(judge([...configuration, separator]).isEnabled).toBe(false);
  });

  it('accepts an authority of db that is measured without its owner, as older shims do', () => {
    const [entry] = entries;
    if (entry === undefined) throw new Error('the recorded db is empty');
    const bare = variable(0x800000e0, securityGuid, 'db', entry.signature);

    expect(judge([...configuration, separator, bare]).dbAuthorities).toEqual([
      createHash('sha256').update(entry.signature).digest('hex'),
    ]);
  });

  it('can be shown more entries of db afterwards by root, but never fewer and none of its own', () => {
    const genuine = judgeSecureBoot(on, 'sha256').dbAuthorities;
    const [entry] = entries;
    if (entry === undefined) throw new Error('the recorded db is empty');
    const unused = variable(0x800000e0, securityGuid, 'db', entry.raw);
    const foreign = variable(0x800000e0, securityGuid, 'db', Buffer.from('a certificate of mine'));
    const all = on.events.filter(isOfPcr7);

    expect(judge([...all, unused]).dbAuthorities).toEqual([
      ...genuine,
      judge([...configuration, separator, unused]).dbAuthorities[0],
    ]);
    expect(() => judge([...all, foreign])).toThrow('not in the db');
  });

  it.each<[string, readonly LogEvent[]]>([
    ['nothing', []],
    ['only the separator', [separator]],
    ['no separator', [...configuration, ...authorities]],
    ['a second separator', [...configuration, separator, separator, ...authorities]],
    [
      'a second separator under another name',
      [...configuration, separator, { ...separator, type: 0x80000007 }],
    ],
    ['a separator of an error', [...configuration, measured(4, Buffer.from([1, 0, 0, 0]))]],
    ['a separator of ones', [...configuration, measured(4, Buffer.alloc(4, 0xff))]],
    ['a longer separator', [...configuration, measured(4, Buffer.alloc(8))]],
    ['the separator before the configuration', [separator, ...configuration]],
    ['the separator within the configuration', [secureBootEvent, pk, separator, kek, db, dbx]],
    ['the configuration in another order', [secureBootEvent, pk, kek, dbx, db, separator]],
    ['a missing db', [secureBootEvent, pk, kek, dbx, separator]],
    ['the configuration twice', [...configuration, ...configuration, separator, secureBootEvent]],
    ['configuration after the separator', [...configuration, separator, secureBootEvent]],
    ['an action after the separator', [...configuration, separator, measured(0x80000007, Buffer.from('x'))]],
    [
      'SecureBoot of another vendor',
      [variable(0x80000001, securityGuid, 'SecureBoot', Buffer.from([1])), pk, kek, db, dbx, separator],
    ],
    ['SecureBoot of two', [secureBoot(2), pk, kek, db, dbx, separator]],
    [
      'SecureBoot without a value',
      [variable(0x80000001, globalGuid, 'SecureBoot', Buffer.alloc(0)), pk, kek, db, dbx, separator],
    ],
    [
      'SecureBoot on without a PK',
      [secureBootEvent, variable(0x80000001, globalGuid, 'PK', Buffer.alloc(0)), kek, db, dbx, separator],
    ],
    [
      'data that is no variable',
      [measured(0x80000001, Buffer.from('SecureBoot')), pk, kek, db, dbx, separator],
    ],
    [
      'a variable with bytes behind it',
      [
        measured(0x80000001, Buffer.concat([secureBootEvent.data, Buffer.alloc(1)])),
        pk,
        kek,
        db,
        dbx,
        separator,
      ],
    ],
    [
      'an authority that is no variable',
      [...configuration, separator, measured(0x800000e0, Buffer.from('x'))],
    ],
  ])('refuses %s', (_, events) => {
    expect(() => judge(events)).toThrow(expect.objectContaining({ reason: 'invalid_argument' }));
  });

  it('believes the data of no event of PCR 7 that does not hash to its digest, in either bank', () => {
    const events = on.events.filter(isOfPcr7);
    for (const [place, event] of events.entries()) {
      const forged = { ...event, data: Buffer.concat([event.data, Buffer.from('!')]) };
      for (const bank of banks) {
        expect(() => judge(events.with(place, forged), bank)).toThrow('is not what was measured');
      }
    }
  });

  it('believes the type of no event of PCR 7 that says something else than it measured', () => {
    const events = on.events.filter(isOfPcr7);
    const types = [0, 1, 4, 5, 6, 7, 8, 0xd, 0x80000001, 0x80000002, 0x80000007, 0x800000e0, 0x12345678];
    for (const [place, event] of events.entries()) {
      for (const type of types.filter((candidate) => candidate !== event.type)) {
        expect(() => judge(events.with(place, { ...event, type }))).toThrow(
          expect.objectContaining({ reason: 'invalid_argument' }),
        );
      }
    }
  });
});

describe('a machine with Secure Boot off, whose root extends what a log of Secure Boot on measures', () => {
  const genuine = off.events.filter(isOfPcr7);
  const added = on.events.filter(isOfPcr7);
  const sequence = [...genuine, ...added];
  const types = [4, 5, 0xd, 0x80000001, 0x80000002, 0x80000007, 0x800000e0];

  /** What can be presented: digests in this order, any types, any data. */
  const presented = (rewrite: (event: LogEvent, place: number) => LogEvent): EventLog =>
    parseEventLog(writeEventLog({ banks, events: sequence.map(rewrite) }));

  it('cannot prove it with the events as they are', () => {
    expect(() =>
      judgeSecureBoot(
        presented((event) => event),
        'sha256',
      ),
    ).toThrow('one separator');
  });

  it.each(types)('cannot prove it by calling its own events 0x%s', (type) => {
    const log = presented((event, place) => (place < genuine.length ? { ...event, type } : event));

    expect(() => judgeSecureBoot(log, 'sha256')).toThrow('does not prove');
  });

  it('cannot prove it by giving its own events the data of the others', () => {
    const log = presented((event, place) => ({ ...event, data: added[place]?.data ?? event.data }));

    expect(() => judgeSecureBoot(log, 'sha256')).toThrow('is not what was measured');
  });

  it('cannot prove it whatever it calls each of its first events', () => {
    for (let choice = 0; choice < types.length ** 3; choice++) {
      const log = presented((event, place) => {
        const type = types[Math.floor(choice / types.length ** place) % types.length];
        return place < 3 && type !== undefined ? { ...event, type } : event;
      });
      expect(() => judgeSecureBoot(log, 'sha256')).toThrow('does not prove');
    }
  });

  it('measures another SecureBoot first, which no later measurement can take back', () => {
    const [first] = genuine;
    if (first === undefined) throw new Error('the recorded log is empty');

    expect(parseEfiVariable(first.data)).toMatchObject({ name: 'SecureBoot', value: Buffer.from([0]) });
    expect(digestOf(first, 'sha256')).not.toEqual(digestOf(secureBootEvent, 'sha256'));
  });
});
