/** Whether an audit log is as it was written: each record whole, in its place, and vouched for by the server's key. */
import type { KeyObject } from 'node:crypto';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { isSignedBy, keyIdOf, parsePublicKey } from './audit-key.js';
import { GENESIS, parseRecord, type AuditRecord } from './audit-record.js';
import type { ChainHead } from './audit-log.js';

export interface Problem {
  /** File and line, or server and sequence. */
  readonly where: string;
  readonly message: string;
}

export interface VerifiedChain {
  readonly problems: readonly Problem[];
  readonly serverId: string | undefined;
  readonly records: number;
  readonly checkpoints: number;
  /** Base64 SPKI of the keys by which it was vouched for. */
  readonly keys: readonly string[];
  readonly first: ChainHead | undefined;
  readonly last: ChainHead | undefined;
  /** Records after the last checkpoint. */
  readonly unsigned: number;
}

export interface ChainVerifierOptions {
  /** Base64 SPKI; none: the key that the log names first is believed, and no other one. */
  readonly keys: readonly string[];
  /** Whether it may still be written to: then it need not end with a checkpoint, let alone the last one. */
  readonly isOpen: boolean;
  /** What must be in it: it was signed, and noted elsewhere. */
  readonly expected?: ChainHead | undefined;
}

const MOST_PROBLEMS = 100;
const DECODER = new TextDecoder('utf-8', { fatal: true });

export class ChainVerifier {
  readonly #options: ChainVerifierOptions;
  readonly #problems: Problem[] = [];
  readonly #keys = new Map<string, { readonly text: string; readonly key: KeyObject }>();
  #serverId: string | undefined;
  #first: ChainHead | undefined;
  #last: ChainHead | undefined;
  #lastWhere = '';
  #records = 0;
  #checkpoints = 0;
  #unsigned = 0;
  #endsWith: string | undefined;
  #hasExpected = false;

  /** @throws BonafideError `invalid_argument` for a pinned key that is none. */
  constructor(options: ChainVerifierOptions) {
    this.#options = options;
    for (const text of options.keys) this.#believe(text);
  }

  /** The next line. */
  async add(bytes: Uint8Array, where: string, isEnded = true): Promise<void> {
    this.#lastWhere = where;
    if (!isEnded) {
      this.#problem(where, 'it ends in the middle of a record, as after a crash, or was cut off');
      return;
    }
    let record;
    try {
      record = parseRecord(DECODER.decode(bytes));
    } catch (error) {
      this.#problem(where, `the record ${error instanceof TypeError ? 'is not text' : errorMessage(error)}`);
      return;
    }
    this.#link(record, where);
    await this.#judge(record, where);
  }

  /** @returns what was found in all of it. */
  end(): VerifiedChain {
    const { isOpen, expected } = this.#options;
    const where = this.#lastWhere;
    if (this.#records === 0 && this.#problems.length === 0) this.#problem(where, 'there is no record in it');
    else if (!isOpen && this.#endsWith !== 'close') {
      const unsigned = this.#unsigned === 0 ? '' : `, and its last ${this.#unsigned} records are not signed`;
      this.#problem(
        where,
        `it does not end as a log that was closed${unsigned}: lines are missing at the end, or the server runs (then pass --open) or was killed`,
      );
    }
    if (expected !== undefined && !this.#hasExpected) {
      this.#problem(
        where,
        `record ${expected.seq}, which the server signed, is not in it, or is another one`,
      );
    }
    return {
      problems: this.#problems,
      serverId: this.#serverId,
      records: this.#records,
      checkpoints: this.#checkpoints,
      keys: [...this.#keys.values()].map(({ text }) => text),
      first: this.#first,
      last: this.#last,
      unsigned: this.#unsigned,
    };
  }

  #link({ seq, hash, prev, server_id: serverId }: AuditRecord, where: string): void {
    const last = this.#last;
    if (this.#serverId !== undefined && serverId !== this.#serverId) {
      this.#problem(where, `the record is one of the server ${serverId}, not of ${this.#serverId}`);
    }
    if (last === undefined) {
      if (seq === 1 && prev !== GENESIS) this.#problem(where, 'the first record names one before it');
    } else if (seq !== last.seq + 1) {
      this.#problem(
        where,
        `record ${last.seq + 1} is expected here, and ${seq} found: records were removed or moved`,
      );
    } else if (prev !== last.hash) {
      this.#problem(where, `record ${seq} does not follow what stands before it: something was changed`);
    }
    this.#serverId ??= serverId;
    this.#first ??= { seq, hash };
    this.#last = { seq, hash };
    this.#records += 1;
    this.#unsigned += 1;
    const { expected } = this.#options;
    if (seq === expected?.seq && hash === expected.hash) this.#hasExpected = true;
  }

  async #judge(
    { event, seq, prev, server_id: serverId, details }: AuditRecord,
    where: string,
  ): Promise<void> {
    this.#endsWith = undefined;
    if (event === 'audit_log_opened') this.#announced(textIn(details, 'key'), where);
    if (event !== 'audit_checkpoint') return;
    const kind = textIn(details, 'kind');
    const known = this.#keys.get(textIn(details, 'key_id'));
    const place = { serverId, seq: seq - 1, hash: prev, kind };
    if (known === undefined) {
      this.#problem(where, 'the checkpoint is signed with a key that is not trusted');
    } else if (!(await isSignedBy(known.key, place, textIn(details, 'signature')))) {
      this.#problem(where, 'the signature of the checkpoint is wrong');
    } else {
      this.#checkpoints += 1;
      this.#unsigned = 0;
      this.#endsWith = kind;
    }
  }

  #announced(text: string, where: string): void {
    try {
      if (this.#keys.has(keyIdOf(text))) return;
      if (this.#keys.size === 0) this.#believe(text);
      else {
        this.#problem(
          where,
          `the log goes on with another key, ${text}; when the server was given a new one, pass it with --key as well`,
        );
      }
    } catch {
      this.#problem(where, 'the key of the log is none');
    }
  }

  #believe(text: string): void {
    this.#keys.set(keyIdOf(text), { text, key: parsePublicKey(text) });
  }

  #problem(where: string, message: string): void {
    if (this.#problems.length < MOST_PROBLEMS) this.#problems.push({ where, message });
  }
}

function textIn(details: AuditRecord['details'], name: string): string {
  const value = details?.[name];
  return typeof value === 'string' ? value : '';
}
