/** What an operator may do with the authorities of one kind: look, prepare, activate, taint and revoke; with SPIRE's conditions. */
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { AuthorityRecord } from '../store/authority-record.js';
import type { AuthoritySlots } from './authority-slots.js';
import type { RotationLoop } from './rotation-loop.js';

export interface AuthorityByHandOptions<Authority extends AuthorityRecord> {
  readonly slots: AuthoritySlots<Authority>;
  readonly loop: RotationLoop<Authority>;
  /** In words, as in `X.509 authority`. */
  readonly words: string;
  /** Whether our authorities stand under another: then that one is tainted and revoked. */
  readonly isUnderUpstream: boolean;
  /** The ID of the other server whose authority it is; undefined when it is ours or nobody's. */
  readonly otherServerOf: (authorityId: string) => Promise<string | undefined>;
  /** Whether this authority, which is not one of ours, is in the bundle and may be revoked; absent: none may. */
  readonly isForeign?: (authorityId: string) => Promise<boolean>;
  /** Called after one was tainted or revoked. */
  readonly onWithdrawal: () => void;
}

export interface AuthorityState<Authority extends AuthorityRecord> {
  readonly active: Authority;
  readonly prepared: Authority | undefined;
  /** The newest of those that signed before. */
  readonly old: Authority | undefined;
}

/** What a change left, and the revision in which it did. */
export interface ChangedAuthority<Authority extends AuthorityRecord> {
  readonly record: Authority;
  readonly revision: number;
}

export class AuthorityByHand<Authority extends AuthorityRecord> {
  readonly #options: AuthorityByHandOptions<Authority>;

  constructor(options: AuthorityByHandOptions<Authority>) {
    this.#options = options;
  }

  /** @throws BonafideError `unavailable` before one is active. */
  state(): AuthorityState<Authority> {
    const { slots } = this.#options;
    const [active] = slots.in('active');
    if (active === undefined) throw new BonafideError('unavailable', 'server is initializing');
    return { active, prepared: slots.in('prepared')[0], old: slots.in('old').at(-1) };
  }

  /** In place of one that is prepared already, which becomes old. */
  prepare(): Promise<ChangedAuthority<Authority>> {
    const { slots, loop, words } = this.#options;
    return loop.take(async (signal) => {
      this.state();
      const revision = await inWords(`failed to prepare ${words}`, () => slots.prepare(signal));
      return { record: present(slots.in('prepared')[0]), revision };
    });
  }

  /** @throws BonafideError `invalid_argument` unless it is the prepared one, `failed_precondition` when that must not sign. */
  async activate(authorityId: string): Promise<ChangedAuthority<Authority>> {
    const { slots, loop } = this.#options;
    if (authorityId === '') throw invalidArgument('no authority ID provided');
    return loop.take(async () => {
      if (slots.in('old').some((record) => record.authorityId === authorityId)) {
        throw new BonafideError('failed_precondition', 'only Prepared authorities can be activated');
      }
      if (slots.in('prepared')[0]?.authorityId !== authorityId)
        throw invalidArgument(await this.#notOurs('unexpected authority ID', authorityId));
      if (slots.rotationState().prepared?.isUsable !== true) {
        throw new BonafideError(
          'failed_precondition',
          'the prepared authority is tainted or its key is lost; prepare another one',
        );
      }
      const revision = present(await slots.activate());
      return { record: present(slots.in('active')[0]), revision };
    });
  }

  /** @throws BonafideError `invalid_argument` unless it is an old one, `failed_precondition` under an upstream authority. */
  async taint(authorityId: string): Promise<ChangedAuthority<Authority>> {
    const { slots, loop, words, onWithdrawal } = this.#options;
    this.#refuseUnderUpstream('tainted');
    if (authorityId === '') throw invalidArgument('no authority ID provided');
    return loop.take(async () => {
      if (this.#isIn('active', authorityId)) throw invalidArgument('unable to taint current local authority');
      if (this.#isIn('prepared', authorityId))
        throw invalidArgument('only Old local authorities can be tainted');
      const record = slots.in('old').find((old) => old.authorityId === authorityId);
      if (record === undefined)
        throw invalidArgument(await this.#notOurs('unexpected authority ID', authorityId));
      const revision = await inWords(`failed to taint ${words}`, () => slots.taint(record));
      onWithdrawal();
      return { record, revision };
    });
  }

  /** @throws BonafideError `invalid_argument` unless it is an old one that is tainted, `failed_precondition` under an upstream authority. @returns the revision. */
  async revoke(authorityId: string): Promise<number> {
    const { slots, loop, words, onWithdrawal } = this.#options;
    this.#refuseUnderUpstream('revoked');
    if (authorityId === '') throw invalidArgument('invalid authority ID: no authority ID provided');
    return loop.take(async () => {
      const refusal = await this.#refusalToRevoke(authorityId);
      if (refusal !== undefined) throw invalidArgument(`invalid authority ID: ${refusal}`);
      const revision = await inWords(`failed to revoke ${words}`, () => slots.revoke(authorityId));
      onWithdrawal();
      return revision;
    });
  }

  async #refusalToRevoke(authorityId: string): Promise<string | undefined> {
    if (this.#isIn('active', authorityId)) return 'unable to use current authority';
    if (this.#isIn('old', authorityId)) return undefined;
    const { isForeign } = this.#options;
    if (isForeign === undefined) return this.#notOurs('only Old local authority can be revoked', authorityId);
    if (this.#isIn('prepared', authorityId)) return 'unable to use a prepared key';
    if (await isForeign(authorityId)) return undefined;
    return `no ${this.#options.words} found with provided authority ID`;
  }

  /** SPIRE's words, and where to go with an authority of another server on the database. */
  async #notOurs(refusal: string, authorityId: string): Promise<string> {
    const serverId = await this.#options.otherServerOf(authorityId);
    if (serverId === undefined) return refusal;
    return `${refusal}: it is one of the server with the ID ${serverId}; run this command there`;
  }

  #isIn(slot: AuthorityRecord['slot'], authorityId: string): boolean {
    return this.#options.slots.in(slot).some((record) => record.authorityId === authorityId);
  }

  #refuseUnderUpstream(verb: string): void {
    if (!this.#options.isUnderUpstream) return;
    throw new BonafideError(
      'failed_precondition',
      `local authority can't be ${verb} if there is an upstream authority`,
    );
  }
}

/** What failed keeps its reason; the operator is told what it was done for. */
async function inWords<T>(words: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof BonafideError)) throw error;
    throw new BonafideError(error.reason, `${words}: ${errorMessage(error)}`, { cause: error });
  }
}

function present<T>(written: T | undefined): T {
  if (written === undefined)
    throw new BonafideError('internal', 'the authority that was written is not there');
  return written;
}
