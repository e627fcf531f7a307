/** IP addresses and networks as numbers (RFC 4291, RFC 4632), so that every spelling of one address compares alike. */
import { isIP } from 'node:net';
import { invalidArgument } from '../errors/bonafide-error.js';

export interface IpAddress {
  readonly family: 4 | 6;
  readonly value: bigint;
}

export interface IpNetwork {
  readonly family: 4 | 6;
  /** Without the bits of the host. */
  readonly value: bigint;
  readonly prefixLength: number;
}

const BITS = { 4: 32, 6: 128 } as const;
const V4_MAPPED_PREFIX = 0xffffn;

/**
 * An IPv4 address that is written as IPv6 (RFC 4291 section 2.5.5.2) is the IPv4 address.
 * @throws BonafideError `invalid_argument` for anything but four decimal numbers or IPv6 without a zone.
 */
export function parseIpAddress(text: string): IpAddress {
  const family = isIP(text);
  if (family === 4) return { family, value: readV4(text) };
  if (family !== 6 || text.includes('%')) {
    throw invalidArgument(`${JSON.stringify(text.slice(0, 64))} is no IP address`);
  }
  const value = readV6(text);
  return value >> 32n === V4_MAPPED_PREFIX ? { family: 4, value: value & 0xffff_ffffn } : { family, value };
}

/** @param text `10.0.0.0/8`, `fd00::/8` or one address. @throws BonafideError `invalid_argument`. */
export function parseIpNetwork(text: string): IpNetwork {
  const [address = '', length, ...more] = text.split('/');
  const expected = 'expected for example 10.0.0.0/8 or fd00::/8';
  if (isIP(address) === 0 || more.length > 0) {
    throw invalidArgument(`${JSON.stringify(text.slice(0, 64))} is no network; ${expected}`);
  }
  const { family, value } = parseIpAddress(address);
  const bits = BITS[family];
  if (
    length !== undefined &&
    (!/^\d{1,3}$/.test(length) || Number(length) > bits || isIP(address) !== family)
  ) {
    throw invalidArgument(
      `${JSON.stringify(text.slice(0, 64))} has no prefix length of its family; ${expected}`,
    );
  }
  const prefixLength = length === undefined ? bits : Number(length);
  const network = { family, value, prefixLength };
  if (hostBits(network, value) !== 0n) {
    throw invalidArgument(`${JSON.stringify(text)} has bits behind its prefix; ${expected}`);
  }
  return network;
}

export function isInNetwork(address: IpAddress, network: IpNetwork): boolean {
  return (
    address.family === network.family && address.value - hostBits(network, address.value) === network.value
  );
}

function hostBits(
  { family, prefixLength }: Pick<IpNetwork, 'family' | 'prefixLength'>,
  value: bigint,
): bigint {
  return BigInt.asUintN(BITS[family] - prefixLength, value);
}

function readV4(text: string): bigint {
  return text.split('.').reduce((value, number) => (value << 8n) | BigInt(number), 0n);
}

/** @param text valid, as `isIP` says. */
function readV6(text: string): bigint {
  const [head = '', tail] = text.split('::');
  const first = readGroups(head);
  const last = tail === undefined ? [] : readGroups(tail);
  const zeros = Array.from({ length: 8 - first.length - last.length }, () => 0n);
  return [...first, ...zeros, ...last].reduce((value, group) => (value << 16n) | group, 0n);
}

function readGroups(text: string): bigint[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [BigInt(`0x${group}`)];
    const value = readV4(group);
    return [value >> 16n, value & 0xffffn];
  });
}
