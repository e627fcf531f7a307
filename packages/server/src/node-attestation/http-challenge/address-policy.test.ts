import { parseIpNetwork } from '@bonafide/shared/http/network-address';
import { describe, expect, it } from 'vitest';
import { checkNodeAddress } from './address-policy.js';

describe('checkNodeAddress', () => {
  it.each([
    '8.8.8.8',
    '1.1.1.1',
    '172.32.0.1',
    '100.128.0.1',
    '2600:1f18::1',
    '2a00:1450::1',
    '::ffff:8.8.8.8',
  ])('takes the public address %s', (address) => {
    expect(() => {
      checkNodeAddress(address, undefined);
    }).not.toThrow();
  });

  it.each([
    '127.0.0.1',
    '127.255.255.254',
    '0.0.0.0',
    '0.1.2.3',
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '100.64.0.1',
    '169.254.1.1',
    '169.254.169.254',
    '168.63.129.16',
    '198.18.0.1',
    '224.0.0.1',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::127.0.0.1',
    '::ffff:127.0.0.1',
    '::ffff:a9fe:a9fe',
    '::ffff:0:127.0.0.1',
    '64:ff9b::7f00:1',
    '64:ff9b:1::1',
    '2002:7f00:1::',
    '2001:0:1::1',
    '2001:db8::1',
    'fe80::1',
    'fe80::1%eth0',
    'fec0::1',
    'fc00::1',
    'fd00:ec2::254',
    'ff02::1',
    '4000::1',
  ])('refuses %s', (address) => {
    expect(() => {
      checkNodeAddress(address, undefined);
    }).toThrow(expect.objectContaining({ reason: 'permission_denied' }));
  });

  it('takes what is in the allowed networks, in any spelling, and nothing else', () => {
    const allowed = [parseIpNetwork('10.0.0.0/8'), parseIpNetwork('fd00::/8')];
    const check = (address: string) => () => {
      checkNodeAddress(address, allowed);
    };
    expect(check('10.1.2.3')).not.toThrow();
    expect(check('::ffff:10.1.2.3')).not.toThrow();
    expect(check('fd12::1')).not.toThrow();
    expect(check('8.8.8.8')).toThrow(/allowed_networks/);
    expect(check('127.0.0.1')).toThrow(/allowed_networks/);
  });

  it('does not call metadata services, nobody or everybody, even where every network is allowed', () => {
    const allowed = [parseIpNetwork('0.0.0.0/0'), parseIpNetwork('::/0')];
    for (const address of [
      '169.254.169.254',
      '::ffff:169.254.169.254',
      'fd00:ec2::254',
      '0.0.0.0',
      '224.0.0.1',
      'ff02::1',
    ]) {
      expect(() => {
        checkNodeAddress(address, allowed);
      }).toThrow(/no node has/);
    }
    expect(() => {
      checkNodeAddress('127.0.0.1', allowed);
    }).not.toThrow();
  });
});
