/** A TPM that is open: work on it takes turns, each command has its time, and what was loaded is flushed whatever happens. */
import { BonafideError } from '../../errors/bonafide-error.js';
import { sleep, systemClock, type Clock } from '../../runtime/clock.js';
import { TPM_HANDLE } from '../hierarchy.js';
import { isPassing, tpmError } from './tpm-error.js';
import { parseTpmResponse } from './tpm-response.js';
import type { TpmReader } from '../tpm-reader.js';
import { TpmWriter } from '../tpm-writer.js';
import type { TpmTransport } from './transport.js';

/** A password, or a policy session that was begun before. */
export type TpmAuthorization = { readonly password: Buffer } | { readonly session: number };

export const NO_PASSWORD: TpmAuthorization = { password: Buffer.alloc(0) };

export interface TpmCommand {
  /** As the standard calls it, for messages. */
  readonly name: string;
  /** TPM_CC. */
  readonly code: number;
  readonly handles?: readonly number[];
  readonly authorizations?: readonly TpmAuthorization[];
  readonly parameters?: Buffer;
  readonly returnsHandle?: boolean;
  /** Makes a key, which takes some TPMs a minute. */
  readonly isSlow?: boolean;
}

export interface TpmResult {
  /** 0 for commands that return none. */
  readonly handle: number;
  readonly parameters: TpmReader;
}

/** What has its turn sends its commands through this. */
export interface TpmTurn {
  /** @throws BonafideError, also `cancelled` once the turn's signal fired. */
  execute(command: TpmCommand): Promise<TpmResult>;
  /** Frees what a command made, before the turn is over. */
  flush(handle: number): Promise<void>;
}

interface TpmOptions {
  readonly transport: TpmTransport;
  readonly clock?: Clock;
  readonly limitMs?: number;
  readonly slowLimitMs?: number;
}

const LIMIT_MS = 30_000;
const SLOW_LIMIT_MS = 180_000;
const MOST_ATTEMPTS = 10;
const FIRST_WAIT_MS = 20;
const FLUSH_CONTEXT = 0x0165;
/** TPMA_SESSION continueSession: it ends when we say, so that nothing is flushed twice. */
const CONTINUE_SESSION = 1;
const TAG = { plain: 0x8001, withSessions: 0x8002 } as const;
const HEADER_BYTES = 10;

export class Tpm {
  readonly #transport: TpmTransport;
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #slowLimitMs: number;
  #lastTurn: Promise<unknown> = Promise.resolve();

  constructor({
    transport,
    clock = systemClock,
    limitMs = LIMIT_MS,
    slowLimitMs = SLOW_LIMIT_MS,
  }: TpmOptions) {
    this.#transport = transport;
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#slowLimitMs = slowLimitMs;
  }

  /**
   * Runs `work` when all before it are done, and flushes every key and session that it made, also when it fails.
   * @param signal ends it between two commands: one that the TPM has is waited for, or what it makes would stay.
   */
  run<T>(work: (turn: TpmTurn) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const turn = this.#lastTurn.then(() => this.#take(work, signal));
    this.#lastTurn = turn.catch(() => undefined);
    return turn;
  }

  /** Waits for the turn that is under way, at most for its commands' time. */
  async close(): Promise<void> {
    await this.#lastTurn;
    await this.#transport.close();
  }

  async #take<T>(work: (turn: TpmTurn) => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const made: number[] = [];
    const flush = async (handle: number): Promise<void> => {
      const index = made.indexOf(handle);
      if (index >= 0) made.splice(index, 1);
      await this.#send({
        name: 'TPM2_FlushContext',
        code: FLUSH_CONTEXT,
        parameters: new TpmWriter().uint32(handle).build(),
      });
    };
    const turn: TpmTurn = {
      execute: async (command) => {
        if (signal?.aborted === true) throw new BonafideError('cancelled', 'work on the TPM was cancelled');
        const result = await this.#send(command);
        if (command.returnsHandle === true) made.push(result.handle);
        return result;
      },
      flush,
    };
    try {
      const result = await work(turn);
      while (made.length > 0) await flush(made.at(-1) ?? 0);
      return result;
    } catch (error) {
      // What went wrong first is what matters; a TPM that can flush nothing any more fails the next turn too.
      while (made.length > 0) await flush(made.at(-1) ?? 0).catch(() => undefined);
      throw error;
    }
  }

  async #send(command: TpmCommand): Promise<TpmResult> {
    const bytes = encodeCommand(command);
    const expected = {
      name: command.name,
      hasSessions: (command.authorizations ?? []).length > 0,
      returnsHandle: command.returnsHandle === true,
    };
    for (let attempt = 1; ; attempt += 1) {
      const limitMs = command.isSlow === true ? this.#slowLimitMs : this.#limitMs;
      const response = parseTpmResponse(await this.#transmit(bytes, limitMs), expected);
      if (response.parameters !== undefined)
        return { handle: response.handle ?? 0, parameters: response.parameters };
      if (!isPassing(response.code) || attempt === MOST_ATTEMPTS) throw tpmError(response.code, command.name);
      await sleep(this.#clock, FIRST_WAIT_MS * 2 ** (attempt - 1));
    }
  }

  async #transmit(bytes: Buffer, limitMs: number): Promise<Buffer> {
    const limit = new AbortController();
    const timer = this.#clock.schedule(limitMs, () => {
      limit.abort();
    });
    try {
      return await this.#transport.transmit(bytes, limit.signal);
    } finally {
      timer.cancel();
    }
  }
}

function encodeCommand(command: TpmCommand): Buffer {
  const { code, handles = [], authorizations = [], parameters = Buffer.alloc(0) } = command;
  const body = new TpmWriter();
  for (const handle of handles) body.uint32(handle);
  if (authorizations.length > 0) {
    const area = encodeAuthorizations(authorizations);
    body.uint32(area.length).bytes(area);
  }
  const content = body.bytes(parameters).build();
  return new TpmWriter()
    .uint16(authorizations.length > 0 ? TAG.withSessions : TAG.plain)
    .uint32(HEADER_BYTES + content.length)
    .uint32(code)
    .bytes(content)
    .build();
}

/** TPMS_AUTH_COMMAND each: handle, no nonce, attributes, and the password where it is one. */
function encodeAuthorizations(authorizations: readonly TpmAuthorization[]): Buffer {
  const area = new TpmWriter();
  for (const authorization of authorizations) {
    const isSession = 'session' in authorization;
    area
      .uint32(isSession ? authorization.session : TPM_HANDLE.password)
      .sized(Buffer.alloc(0))
      .uint8(CONTINUE_SESSION)
      .sized(isSession ? Buffer.alloc(0) : authorization.password);
  }
  return area.build();
}
