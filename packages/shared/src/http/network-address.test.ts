import { isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BonafideError } from '../errors/bonafide-error.js';
import { isInNetwork, parseIpAddress, parseIpNetwork } from './network-address.js';

describe('parseIpAddress', () => {
  it.each([
    ['127.0.0.1', { family: 4, value: 0x7f000001n }],
    ['255.255.255.255', { family: 4, value: 0xffffffffn }],
    ['::', { family: 6, value: 0n }],
    ['::1', { family: 6, value: 1n }],
    ['1::', { family: 6, value: 1n << 112n }],
    ['2001:db8::8:800:200c:417a', { family: 6, value: 0x20010db80000000000080800200c417an }],
    ['::ffff:127.0.0.1', { family: 4, value: 0x7f000001n }],
    ['::ffff:7f00:1', { family: 4, value: 0x7f000001n }],
    ['0:0:0:0:0:FFFF:7F00:0001', { family: 4, value: 0x7f000001n }],
    ['::127.0.0.1', { family: 6, value: 0x7f000001n }],
    ['64:ff9b::10.0.0.1', { family: 6, value: 0x0064ff9b00000000000000000a000001n }],
  ])('reads %s', (text, expected) => {
    expect(parseIpAddress(text)).toEqual(expected);
  });

  it.each([
    '',
    '127.1',
    '0177.0.0.1',
    '0x7f.0.0.1',
    '2130706433',
    '1.2.3.4.',
    ' 1.2.3.4',
    '[::1]',
    'fe80::1%lo',
    'a',
  ])('refuses %j', (text) => {
    expect(() => parseIpAddress(text)).toThrow(BonafideError);
  });

  it('reads every IPv6 address as its numbers say', () => {
    const groups = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), {
      minLength: 8,
      maxLength: 8,
    });
    fc.assert(
      fc.property(groups, (numbers) => {
        const long = numbers.map((number) => number.toString(16)).join(':');
        const short = new URL(`http://[${long}]/`).hostname.slice(1, -1);
        expect(isIPv6(short)).toBe(true);
        expect(parseIpAddress(short)).toEqual(parseIpAddress(long));
      }),
    );
  });

  it('throws nothing but its own error, whatever the text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.ipV6(), fc.ipV4(), fc.ipV4Extended()), (text) => {
        try {
          parseIpAddress(text);
        } catch (error) {
          expect(error).toBeInstanceOf(BonafideError);
        }
      }),
    );
  });
});

describe('parseIpNetwork', () => {
  it.each([
    ['10.0.0.0/8', '10.255.255.255', true],
    ['10.0.0.0/8', '11.0.0.0', false],
    ['10.0.0.0/8', '::ffff:10.1.2.3', true],
    ['0.0.0.0/0', '1.2.3.4', true],
    ['0.0.0.0/0', '2001:db8::1', false],
    ['::/0', '2001:db8::1', true],
    ['::/0', '1.2.3.4', false],
    ['fd00::/8', 'fdff::1', true],
    ['fd00::/8', 'fc00::1', false],
    ['192.0.2.1', '192.0.2.1', true],
    ['192.0.2.1', '192.0.2.2', false],
    ['2001:db8::1/128', '2001:db8::1', true],
  ])('%s and %s: %s', (network, address, expected) => {
    expect(isInNetwork(parseIpAddress(address), parseIpNetwork(network))).toBe(expected);
  });

  it.each([
    '',
    '/8',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/8/8',
    '10.0.0.0/+8',
    '10.0.0.1/8',
    'fd00::/129',
    '::ffff:10.0.0.0/104',
    'x/8',
  ])('refuses %j', (text) => {
    expect(() => parseIpNetwork(text)).toThrow(BonafideError);
  });
});
