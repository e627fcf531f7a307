/** The token by which Vault knows this server: had by logging in, renewed while it lives, had anew when it cannot be. */
import { readFile } from 'node:fs/promises';
import { BonafideError, errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { VaultLogin } from './vault-config.js';
import { objectIn, type VaultAnswer, type VaultClient } from './vault-client.js';

interface HeldToken {
  readonly token: string;
  /** Of the monotonic clock; undefined: it does not expire. */
  readonly endsAtMs: number | undefined;
  readonly renewAtMs: number | undefined;
  readonly isRenewable: boolean;
}

/** Renewed when a third of its lease is left. */
const RENEWAL_SHARE = 2 / 3;
const MAX_TOKEN_CHARACTERS = 16 * 1024;

export class VaultToken {
  readonly #client: VaultClient;
  readonly #login: VaultLogin;
  readonly #clock: Clock;
  #held: HeldToken | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: { readonly client: VaultClient; readonly login: VaultLogin; readonly clock: Clock }) {
    this.#client = options.client;
    this.#login = options.login;
    this.#clock = options.clock;
  }

  /** A token that is good now as far as we know. @throws BonafideError. */
  get(signal: AbortSignal): Promise<string> {
    return this.#inTurn(async () => {
      const held = this.#held;
      if (held !== undefined && !this.#isPast(held.endsAtMs)) return held.token;
      return (this.#held = await this.#logIn(signal)).token;
    });
  }

  /** To be called when Vault refused it: the next `get` logs in again. */
  forget(token: string): void {
    if (this.#held?.token === token) this.#held = undefined;
  }

  /**
   * Renews the token if it is due, or logs in again when it cannot be renewed.
   * @returns milliseconds until it is due next; undefined: never, as far as we know.
   */
  keepAlive(signal: AbortSignal): Promise<number | undefined> {
    return this.#inTurn(async () => {
      let held = this.#held;
      if (held !== undefined && this.#isPast(held.renewAtMs))
        this.#held = held = await this.#renew(held, signal);
      if (held?.renewAtMs === undefined) return undefined;
      return Math.max(0, held.renewAtMs - this.#clock.monotonicMs());
    });
  }

  async #renew(held: HeldToken, signal: AbortSignal): Promise<HeldToken> {
    if (held.isRenewable && !this.#isPast(held.endsAtMs)) {
      try {
        const call = { method: 'POST', path: 'auth/token/renew-self', token: held.token, body: {} } as const;
        return this.#readAuth(await this.#client.call(call, signal), held.token);
      } catch (error) {
        if (!hasReason(error, 'permission_denied', 'failed_precondition')) throw error;
      }
    }
    return this.#logIn(signal);
  }

  async #logIn(signal: AbortSignal): Promise<HeldToken> {
    const login = this.#login;
    if (login.kind === 'token') return this.#lookUp(login.token, signal);
    const path = `auth/${login.mountPoint}/login`;
    const answer = await this.#client.call({ method: 'POST', path, body: await loginBody(login) }, signal);
    return this.#readAuth(answer);
  }

  /** @throws BonafideError `permission_denied` when Vault does not know it (any more): only an operator can bring another one. */
  async #lookUp(token: string, signal: AbortSignal): Promise<HeldToken> {
    const answer = await this.#client.call({ method: 'GET', path: 'auth/token/lookup-self', token }, signal);
    const data = objectIn(answer, 'data') ?? {};
    return this.#hold(token, data['ttl'], data['renewable']);
  }

  #readAuth(answer: VaultAnswer, renewed?: string): HeldToken {
    const auth = objectIn(answer, 'auth') ?? {};
    const token = auth['client_token'] ?? renewed;
    if (typeof token !== 'string' || token === '' || token.length > MAX_TOKEN_CHARACTERS) {
      throw new BonafideError('failed_precondition', 'Vault answered a login without a token');
    }
    return this.#hold(token, auth['lease_duration'], auth['renewable']);
  }

  #hold(token: string, leaseSeconds: unknown, renewable: unknown): HeldToken {
    if (/[^\x21-\x7e]/.test(token)) {
      throw new BonafideError('failed_precondition', 'the token for Vault has characters that no token has');
    }
    const isLimited = typeof leaseSeconds === 'number' && Number.isFinite(leaseSeconds) && leaseSeconds > 0;
    if (!isLimited) return { token, endsAtMs: undefined, renewAtMs: undefined, isRenewable: false };
    const nowMs = this.#clock.monotonicMs();
    return {
      token,
      endsAtMs: nowMs + leaseSeconds * 1000,
      // Never in a loop that only renews.
      renewAtMs: nowMs + Math.max(1, leaseSeconds * RENEWAL_SHARE) * 1000,
      isRenewable: renewable === true,
    };
  }

  #isPast(ms: number | undefined): boolean {
    return ms !== undefined && this.#clock.monotonicMs() >= ms;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined); // the caller hears of it
    return turn;
  }
}

async function loginBody(login: Exclude<VaultLogin, { kind: 'token' }>): Promise<Record<string, string>> {
  switch (login.kind) {
    case 'cert':
      return login.role === undefined ? {} : { name: login.role };
    case 'approle':
      return { role_id: login.roleId, secret_id: login.secretId };
    case 'kubernetes':
      return { role: login.role, jwt: await readToken(login.tokenPath) };
  }
}

/** Read each time: Kubernetes replaces it before it expires. */
async function readToken(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    const message = `cannot read the service account token ${path}: ${errorMessage(error)}`;
    throw new BonafideError('unavailable', message, { cause: error });
  }
}
