/** A body of bounded size, whole. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';

/** @throws BonafideError `invalid_argument` when it is larger; what the stream throws. */
export async function readBody(stream: AsyncIterable<unknown>, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    // A stream with an encoding set has lost the bytes that were signed.
    if (!(chunk instanceof Uint8Array))
      throw invalidArgument('the body was decoded to text; it must be read as bytes');
    size += chunk.length;
    if (size > maxBytes) throw invalidArgument(`the body is larger than ${maxBytes} bytes`);
    chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks, size);
}
