/** Tells the service manager how this process is doing (sd_notify(3)): serving, reloading, stopping, still alive. */
import { errorMessage } from '../errors/bonafide-error.js';
import { DatagramSender } from '../unix-socket/datagram-sender.js';
import type { Clock } from './clock.js';
import type { Logger } from './logger.js';

export interface ServiceNotice {
  /** It serves; also the end of a reload. */
  readonly ready: (status?: string) => void;
  /** The configuration is being read again, until `ready`. */
  readonly reloading: () => void;
  readonly stopping: () => void;
  /** One line for whoever asks how the service is. */
  readonly status: (text: string) => void;
}

export interface ServiceNoticeOptions {
  /** Of this process: NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Says nothing, for a process that no service manager started. */
export const silentNotice: ServiceNotice = {
  ready: () => undefined,
  reloading: () => undefined,
  stopping: () => undefined,
  status: () => undefined,
};

const RETRY_MS = 100;
const MOST_RETRIES = 100;
const MOST_WAITING = 64;

/**
 * Says nothing without NOTIFY_SOCKET. With WATCHDOG_USEC the event loop says twice in that time that it turns, so that a
 * process that hangs is replaced. What cannot be told is logged, never thrown: it is no reason to stop serving.
 */
export function openServiceNotice({ environment, pid, clock, log }: ServiceNoticeOptions): ServiceNotice {
  const { NOTIFY_SOCKET: path } = environment;
  if (path === undefined || path === '') return silentNotice;
  let sender: DatagramSender;
  try {
    sender = new DatagramSender(path);
  } catch (error) {
    log.warn({ err: error }, `the service manager cannot be told anything: ${errorMessage(error)}`);
    return silentNotice;
  }
  const messages = new Messages(sender, clock, log);
  const watchdogMs = watchdogInterval(environment, pid, log);
  if (watchdogMs !== undefined) keepAlive(messages, watchdogMs / 2, clock);
  return {
    ready: (status) => {
      messages.send(status === undefined ? 'READY=1' : `READY=1\n${statusLine(status)}`);
    },
    reloading: () => {
      messages.send(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
    },
    stopping: () => {
      messages.send('STOPPING=1');
    },
    status: (text) => {
      messages.send(statusLine(text));
    },
  };
}

function statusLine(text: string): string {
  return `STATUS=${text.replace(/\s+/gu, ' ')}`;
}

/** @returns undefined when nobody watches this process. */
function watchdogInterval(
  { WATCHDOG_USEC: interval, WATCHDOG_PID: watched }: ServiceNoticeOptions['environment'],
  pid: number,
  log: Logger,
): number | undefined {
  if (interval === undefined || (watched !== undefined && watched !== String(pid))) return undefined;
  if (/^[1-9]\d{0,15}$/u.test(interval)) return Number(interval) / 1000;
  log.warn(`WATCHDOG_USEC is ${JSON.stringify(interval)}, not a number of microseconds; nobody is told`);
  return undefined;
}

function keepAlive(messages: Messages, intervalMs: number, clock: Clock): void {
  messages.send('WATCHDOG=1');
  clock.schedule(intervalMs, () => {
    keepAlive(messages, intervalMs, clock);
  });
}

/** In order; what does not fit into the receiver's queue is tried again for a while. */
class Messages {
  readonly #sender: DatagramSender;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #waiting: string[] = [];
  #retries = 0;

  constructor(sender: DatagramSender, clock: Clock, log: Logger) {
    this.#sender = sender;
    this.#clock = clock;
    this.#log = log;
  }

  send(message: string): void {
    // Said twice before it is heard, it is worth no more than once.
    if (this.#waiting.length >= MOST_WAITING || this.#waiting.includes(message)) return;
    this.#waiting.push(message);
    if (this.#waiting.length === 1) this.#deliver();
  }

  #deliver(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (!this.#isDelivered(next)) {
        this.#retries += 1;
        this.#clock.schedule(RETRY_MS, () => {
          this.#deliver();
        });
        return;
      }
      this.#retries = 0;
      this.#waiting.shift();
    }
  }

  /** Or given up. */
  #isDelivered(message: string): boolean {
    try {
      if (this.#sender.send(message)) return true;
      if (this.#retries < MOST_RETRIES) return false;
      this.#log.warn({ message }, 'the service manager does not read what it is told');
    } catch (error) {
      this.#log.warn({ err: error, message }, `the service manager is not told: ${errorMessage(error)}`);
    }
    return true;
  }
}
