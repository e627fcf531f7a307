/** One kind of authority with what moves it: its slots, the loop that rotates it in time, and the operator's hand. */
import type { AuthorityRecord } from '../store/authority-record.js';
import { AuthorityByHand, type AuthorityByHandOptions } from './authority-by-hand.js';
import type { AuthorityMaker } from './authority-maker.js';
import type { AuthorityRotationOptions } from './authority-rotation.js';
import { AuthoritySlots } from './authority-slots.js';
import { RotationLoop } from './rotation-loop.js';

export interface RotatingKind<Authority extends AuthorityRecord> {
  readonly slots: AuthoritySlots<Authority>;
  readonly loop: RotationLoop<Authority>;
  readonly byHand: AuthorityByHand<Authority>;
  readonly words: string;
}

export function rotatingKind<Authority extends AuthorityRecord>(
  options: AuthorityRotationOptions,
  maker: AuthorityMaker<Authority>,
  onActivation: () => void,
  conditions: Pick<AuthorityByHandOptions<Authority>, 'isUnderUpstream' | 'onWithdrawal' | 'isForeign'>,
): RotatingKind<Authority> {
  const { trustDomain, store, keyManager, clock, log, ttlSeconds } = options;
  const slots = new AuthoritySlots({
    trustDomain,
    store,
    keyManager,
    clock,
    log,
    maker,
    ttlSeconds,
    onActivation,
  });
  const { words } = maker;
  const loop = new RotationLoop({ slots, clock, log, words, tell: options.tell });
  const otherServerOf = async (authorityId: string): Promise<string | undefined> => {
    const records = await store.authorities.list();
    const serverId = records.find((record) => record.authorityId === authorityId)?.serverId;
    return serverId === store.serverId ? undefined : serverId;
  };
  return {
    slots,
    loop,
    words,
    byHand: new AuthorityByHand({ slots, loop, words, otherServerOf, ...conditions }),
  };
}
