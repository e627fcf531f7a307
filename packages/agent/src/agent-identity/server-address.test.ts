import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatServerAddress, parseServerAddress } from './server-address.js';

describe('parseServerAddress', () => {
  it.each([
    ['server.example.org:8081', { host: 'server.example.org', port: 8081 }],
    ['10.0.0.1:1', { host: '10.0.0.1', port: 1 }],
    ['[2001:db8::1]:65535', { host: '2001:db8::1', port: 65_535 }],
    ['[::1]:8081', { host: '::1', port: 8081 }],
  ])('reads %s', (text, address) => {
    expect(parseServerAddress(text)).toEqual(address);
    expect(formatServerAddress(address)).toBe(text);
  });

  it.each([
    ...['', 'server', 'server:', ':8081', 'server:0', 'server:65536', 'server:99999999999', 'server:80a'],
    ...[
      '::1:8081',
      '[::1]',
      '[10.0.0.1]:8081',
      '[server]:8081',
      '[::1]x:8081',
      'a b:1',
      'https://server:8081',
    ],
    ...['user@server:1', 'server:8081/path', '[]:1', '-server:1'],
  ])('refuses %j and says what would do', (text) => {
    expect(() => parseServerAddress(text)).toThrow(/is no server address; expected host:port/);
  });

  it('either refuses a text or means exactly it', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          expect(formatServerAddress(parseServerAddress(text))).toBe(text.replace(/:0+(?=\d+$)/, ':'));
        } catch (error) {
          expect(String(error)).toContain('is no server address');
        }
      }),
    );
  });
});
