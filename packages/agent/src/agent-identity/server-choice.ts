/** Which of the known servers the agent talks to: any of them at first, the same one while it works, another one when it does not. */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { formatServerAddress, type ServerAddress } from './server-address.js';

interface ServerChoiceOptions {
  /** At least one. */
  readonly addresses: readonly ServerAddress[];
  /** A number in [0, 1); spreads many agents evenly over the servers. */
  readonly random: () => number;
}

export class ServerChoice {
  readonly #addresses: readonly ServerAddress[];
  readonly #random: () => number;
  /** Those that were left in this round; once all were, the next round begins. */
  readonly #left = new Set<ServerAddress>();
  #current: ServerAddress;
  #lastLeft: ServerAddress | undefined;

  constructor({ addresses, random }: ServerChoiceOptions) {
    const distinct = new Map(addresses.map((address) => [formatServerAddress(address), address]));
    this.#addresses = [...distinct.values()];
    this.#random = random;
    this.#current = this.#any(this.#addresses);
  }

  get current(): ServerAddress {
    return this.#current;
  }

  /** The one that failed last, for messages; the present one as long as none has. */
  get lastLeft(): ServerAddress {
    return this.#lastLeft ?? this.#current;
  }

  /**
   * The server at this address does not work; the next one is any that did work or was not asked yet.
   * @returns false when there is none such, so that it is no use to hurry.
   */
  leave(address: ServerAddress): boolean {
    this.#lastLeft = address;
    if (address !== this.#current) return true;
    this.#left.add(address);
    let candidates = this.#addresses.filter((candidate) => !this.#left.has(candidate));
    const isFresh = candidates.length > 0;
    if (!isFresh) {
      this.#left.clear();
      if (this.#addresses.length > 1) this.#left.add(address);
      candidates = this.#addresses.filter((candidate) => !this.#left.has(candidate));
    }
    this.#current = this.#any(candidates);
    return isFresh;
  }

  /** The server at this address has answered, and is preferred to the present one from now on. */
  take(address: ServerAddress): void {
    this.#left.clear();
    this.#left.add(this.#current);
    this.#left.delete(address);
    this.#current = address;
  }

  /** The present server works: those that were left before it may work again by the time it does not. */
  confirm(address: ServerAddress): void {
    if (address === this.#current) this.#left.clear();
  }

  /** Where else to go while the present server still works, in random order; its own name too, if several machines go by it. */
  async alternatives(): Promise<readonly ServerAddress[]> {
    const others = this.#addresses.filter((address) => address !== this.#current);
    const shuffled: ServerAddress[] = [];
    while (others.length > 0) shuffled.push(...others.splice(Math.floor(this.#random() * others.length), 1));
    if (await standsForSeveral(this.#current)) shuffled.push(this.#current);
    return shuffled;
  }

  #any(candidates: readonly ServerAddress[]): ServerAddress {
    const chosen = candidates[Math.floor(this.#random() * candidates.length)] ?? candidates[0];
    if (chosen === undefined) throw new TypeError('a choice needs at least one address');
    return chosen;
  }
}

async function standsForSeveral({ host }: ServerAddress): Promise<boolean> {
  if (isIP(host) !== 0) return false;
  try {
    const found = await lookup(host, { all: true });
    // A machine with both an IPv4 and an IPv6 address is one machine.
    const count = (family: number): number => found.filter((each) => each.family === family).length;
    return count(4) > 1 || count(6) > 1;
  } catch {
    return false; // a name that does not resolve leads nowhere
  }
}
