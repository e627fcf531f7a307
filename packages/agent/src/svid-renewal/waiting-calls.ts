/** Which traced call waits for which SVID, so that the batch in which it is signed shows in its trace. */
import { currentCall, duringCall, type CurrentCall } from '@bonafide/shared/telemetry/current-call';
import { beginSpan, inSpan } from '@bonafide/shared/telemetry/tracer';

export class WaitingCalls {
  readonly #byEntry = new Map<string, CurrentCall>();

  /** The running call, if it is traced, waits for the SVID of this entry. */
  note(entryId: string): void {
    const call = currentCall();
    const wait = call && beginSpan('svid.wait');
    if (call === undefined || wait === undefined || this.#byEntry.has(entryId)) return;
    this.#byEntry.set(entryId, { ...call, span: wait });
  }

  forget(entryId: string): void {
    this.#byEntry.get(entryId)?.span?.end('nothing came');
    this.#byEntry.delete(entryId);
  }

  /** `work` for these entries is part of the first call that waits for one of them; there is one batch, and may be many calls. */
  async onBehalf<T>(
    batch: readonly { readonly entry: { readonly id: string } }[],
    work: () => Promise<T>,
  ): Promise<T> {
    const calls: CurrentCall[] = [];
    for (const { entry } of batch) {
      const call = this.#byEntry.get(entry.id);
      if (call !== undefined) calls.push(call);
      this.#byEntry.delete(entry.id);
    }
    const [first] = calls;
    if (first === undefined) return work();
    try {
      return await duringCall(first, () =>
        inSpan('batch.sign', { 'bonafide.batch_size': batch.length }, work),
      );
    } finally {
      for (const { span } of calls) span?.end();
    }
  }
}
