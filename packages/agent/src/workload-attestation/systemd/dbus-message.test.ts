import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  DBUS_PREFIX_BYTES,
  dbusMessageLength,
  decodeDbusMessage,
  encodeDbusMessage,
} from './dbus-message.js';

const CALL = {
  type: 'method_call',
  serial: 7,
  fields: { path: '/a', interface: 'i.j', member: 'M', destination: 'd.e', signature: 'ss' },
  body: ['one', 'zwölf'],
} as const;

/** A reply in the other byte order, written out by hand: serial 2, reply to 7, one object path. */
const BIG_ENDIAN_REPLY = Buffer.from(
  '42020101' +
    '00000008' +
    '00000002' +
    '0000000f' +
    '0501750000000007' +
    '080167' +
    '00016f00' +
    '00' +
    '00000003' +
    '2f616200',
  'hex',
);

describe('messages of D-Bus', () => {
  it('are read as they were written', () => {
    const bytes = encodeDbusMessage(CALL);
    expect(dbusMessageLength(bytes)).toBe(bytes.length);
    expect(decodeDbusMessage(bytes)).toEqual(CALL);
    const reply = {
      type: 'method_return',
      serial: 9,
      fields: { replySerial: 7, signature: 'v' },
      body: ['/lib/x.service'],
    } as const;
    expect(decodeDbusMessage(encodeDbusMessage(reply))).toEqual(reply);
  });

  it('are read in the other byte order too', () => {
    expect(dbusMessageLength(BIG_ENDIAN_REPLY)).toBe(BIG_ENDIAN_REPLY.length);
    expect(decodeDbusMessage(BIG_ENDIAN_REPLY)).toEqual({
      type: 'method_return',
      serial: 2,
      fields: { replySerial: 7, signature: 'o' },
      body: ['/ab'],
    });
  });

  it('that carry something else than strings are passed over', () => {
    const bytes = encodeDbusMessage({ ...CALL, fields: { ...CALL.fields, signature: 'au' }, body: [] });
    expect(decodeDbusMessage(bytes)).toBeUndefined();
  });

  it('that are longer than any that is expected are not waited for', () => {
    const bytes = encodeDbusMessage(CALL);
    bytes.writeUInt32LE(0x7fff_ffff, 4);
    expect(() => dbusMessageLength(bytes)).toThrow('more than any that is expected');
  });

  it('that were changed anywhere are refused or read as something else, never with another error', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(255), fc.nat(4), (at, byte, cut) => {
        const bytes = Buffer.from(encodeDbusMessage(CALL));
        bytes[at % bytes.length] = byte;
        const shorter = bytes.subarray(0, bytes.length - cut);
        try {
          if (shorter.length >= DBUS_PREFIX_BYTES) dbusMessageLength(shorter);
          decodeDbusMessage(shorter);
        } catch (error) {
          expect(error).toMatchObject({ reason: 'unavailable' });
        }
      }),
      { numRuns: 5000 },
    );
  });

  it('of random bytes throw nothing but their own error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 200 }), (array) => {
        const bytes = Buffer.from(array);
        bytes[0] = 'l'.charCodeAt(0);
        try {
          dbusMessageLength(bytes);
          decodeDbusMessage(bytes);
        } catch (error) {
          expect(error).toMatchObject({ reason: 'unavailable' });
        }
      }),
      { numRuns: 5000 },
    );
  });
});
