/** One direction of one connection through a fault proxy: passes bytes on late, slowly or not at all, and keeps few of them. */
import type { Socket } from 'node:net';

export interface FlowState {
  readonly isFrozen?: boolean;
  readonly delayMs?: number;
  readonly bytesPerSecond?: number;
}

/** Beyond that the sender has to wait. */
const MOST_HELD_BYTES = 1024 * 1024;
/** A slow link passes on what it may in so long, then the next piece. */
const PIECE_MS = 50;

interface HeldBytes {
  readonly bytes: Buffer;
  readonly dueMs: number;
}

export class FaultFlow {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #held: HeldBytes[] = [];
  #state: FlowState;
  #heldBytes = 0;
  /** When the link has passed on what it took last. */
  #freeAtMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #isEnded = false;

  constructor(from: Socket, to: Socket, state: FlowState) {
    this.#from = from;
    this.#to = to;
    this.#state = state;
    from.on('data', (bytes: Buffer) => {
      this.#held.push({ bytes, dueMs: performance.now() + (this.#state.delayMs ?? 0) });
      this.#heldBytes += bytes.length;
      this.#pass();
    });
    from.on('end', () => {
      this.#isEnded = true;
      this.#pass();
    });
    from.on('close', () => {
      clearTimeout(this.#timer);
    });
    to.on('drain', () => {
      this.#pass();
    });
    this.#pass();
  }

  change(state: FlowState): void {
    this.#state = state;
    this.#freeAtMs = 0;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#pass();
  }

  #pass(): void {
    if (this.#state.isFrozen !== true) this.#passOn();
    const isWaiting = this.#state.isFrozen === true || this.#heldBytes > MOST_HELD_BYTES;
    if (isWaiting) this.#from.pause();
    else this.#from.resume();
  }

  #passOn(): void {
    const { delayMs = 0, bytesPerSecond } = this.#state;
    for (let first = this.#held[0]; first !== undefined; first = this.#held[0]) {
      if (this.#to.destroyed || this.#to.writableNeedDrain || this.#timer !== undefined) return;
      const nowMs = performance.now();
      // Of a link that was slower before, `dueMs` means nothing any more.
      const waitMs = Math.max(delayMs === 0 ? 0 : first.dueMs - nowMs, this.#freeAtMs - nowMs);
      if (waitMs > 0) {
        this.#timer = setTimeout(() => {
          this.#timer = undefined;
          this.#pass();
        }, waitMs);
        return;
      }
      const most =
        bytesPerSecond === undefined
          ? first.bytes.length
          : Math.max(1, Math.floor((bytesPerSecond * PIECE_MS) / 1000));
      const piece = first.bytes.subarray(0, most);
      const rest = first.bytes.subarray(most);
      if (rest.length === 0) this.#held.shift();
      else this.#held[0] = { bytes: rest, dueMs: first.dueMs };
      this.#heldBytes -= piece.length;
      if (bytesPerSecond !== undefined) this.#freeAtMs = nowMs + (piece.length / bytesPerSecond) * 1000;
      this.#to.write(piece);
    }
    if (this.#isEnded && !this.#to.writableEnded) this.#to.end();
  }
}
