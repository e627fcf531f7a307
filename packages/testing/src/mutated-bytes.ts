/** What becomes of bytes in careless or hostile hands, for tests of parsers. */
import { createHash } from 'node:crypto';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

/** Up to four times bytes are changed, taken away, put in, or the rest is cut off; the same seed does the same. */
export function mutatedBytes(good: Buffer, seed: number): Buffer {
  const chance = createHash('sha256').update(String(seed)).digest();
  let bytes = good;
  for (let step = 0; step <= chance.readUInt8(31) % 4; step += 1) {
    const dice = chance.subarray(step * 7, step * 7 + 7);
    const at = dice.readUInt16BE(0) % (bytes.length + 1);
    const fresh = dice.subarray(2, 3 + (dice.readUInt8(6) % 4));
    const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
    const outcomes = [
      [before, fresh, after.subarray(fresh.length)],
      [before, fresh, after],
      [before, after.subarray(fresh.length)],
      dice.readUInt8(4) % 4 === 0 ? [before] : [before, fresh, after.subarray(fresh.length)],
    ] as const;
    bytes = Buffer.concat(outcomes[dice.readUInt8(5) % outcomes.length] ?? []);
  }
  return bytes;
}

/** @throws what `parse` throws, unless that is a BonafideError. */
export function expectOnlyBonafideErrors(parse: (raw: Buffer) => unknown, raw: Buffer): void {
  try {
    parse(raw);
  } catch (error) {
    if (!(error instanceof BonafideError)) throw error;
  }
}
