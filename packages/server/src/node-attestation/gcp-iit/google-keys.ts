/** The keys with which Google signs: fetched when they are needed, kept for as long as Google says, asked for again when a token names another. */
import type { KeyObject } from 'node:crypto';
import { readJwkSet } from '@bonafide/shared/bundle/jwk-set';
import {
  importSubjectPublicKeySync,
  parseSubjectPublicKey,
} from '@bonafide/shared/crypto/subject-public-key';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { sendRequest, type HttpTls } from '@bonafide/shared/http/send-request';
import type { Clock } from '@bonafide/shared/runtime/clock';

const GOOGLE_KEYS_URL = new URL('https://www.googleapis.com/oauth2/v3/certs');

const LIMIT_MS = 10_000;
const LARGEST_ANSWER_BYTES = 256 * 1024;
const DEFAULT_AGE_SECONDS = 60 * 60;
const LONGEST_AGE_SECONDS = 24 * 60 * 60;
/** Tokens with made-up key IDs must not have us ask Google all the time. */
const SHORTEST_AGE_MS = 60_000;

interface FetchedKeys {
  readonly keys: ReadonlyMap<string, KeyObject>;
  /** Of the monotonic clock. */
  readonly fetchedAtMs: number;
  readonly endsAtMs: number;
}

export interface GoogleKeysOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly url?: URL | undefined;
  readonly tls?: HttpTls | undefined;
}

export class GoogleKeys {
  readonly #options: GoogleKeysOptions;
  #held: FetchedKeys | undefined;
  #fetching: Promise<FetchedKeys> | undefined;

  constructor(options: GoogleKeysOptions) {
    this.#options = options;
  }

  /** @returns undefined for a key that Google does not have. @throws BonafideError `unavailable` when Google cannot be asked. */
  async find(keyId: string): Promise<KeyObject | undefined> {
    const now = this.#options.clock.monotonicMs();
    const held = this.#held;
    const isFresh = held !== undefined && now < held.endsAtMs;
    const key = isFresh ? held.keys.get(keyId) : undefined;
    if (key !== undefined || (isFresh && now - held.fetchedAtMs < SHORTEST_AGE_MS)) return key;
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = undefined;
    });
    this.#held = await this.#fetching;
    return this.#held.keys.get(keyId);
  }

  async #fetch(): Promise<FetchedKeys> {
    const { clock, signal, url = GOOGLE_KEYS_URL, tls } = this.#options;
    const { status, headers, bytes } = await sendRequest({
      ...{ method: 'GET', url, signal, tls },
      ...{ limitMs: LIMIT_MS, largestAnswerBytes: LARGEST_ANSWER_BYTES },
    });
    if (status !== 200) {
      throw new BonafideError(
        'unavailable',
        `Google answered the request for its keys with status ${status}`,
      );
    }
    const fetchedAtMs = clock.monotonicMs();
    return {
      keys: readKeys(bytes),
      fetchedAtMs,
      endsAtMs: fetchedAtMs + ageSeconds(headers['cache-control']) * 1000,
    };
  }
}

function readKeys(bytes: Buffer): ReadonlyMap<string, KeyObject> {
  try {
    const keys = readJwkSet(bytes, 'sig').map(
      ({ keyId, publicKey }) =>
        [keyId, importSubjectPublicKeySync(parseSubjectPublicKey(publicKey, 'JWK Set of Google'))] as const,
    );
    return new Map(keys);
  } catch (cause) {
    throw new BonafideError('unavailable', 'Google answered with something else than its keys', { cause });
  }
}

/** RFC 9111 section 5.2.2.1. */
function ageSeconds(cacheControl: string | undefined): number {
  const [, age] = /(?:^|[\s,])max-age=(\d{1,9})(?:[\s,]|$)/.exec(cacheControl ?? '') ?? [];
  return age === undefined ? DEFAULT_AGE_SECONDS : Math.min(Number(age), LONGEST_AGE_SECONDS);
}
