/** Signed SVIDs on their way back from a signing thread. */
import type { WrittenX509Svid } from '../x509-svid-request.js';
import { PACKED_NUMBER_SIZE, packedSize, PackedReader, PackedWriter } from './packed-bytes.js';

export function packSvids(svids: readonly WrittenX509Svid[]): Buffer {
  let size = 0;
  for (const { certificate, serialNumber } of svids) {
    size += packedSize(certificate.length) + packedSize(serialNumber.length) + 2 * PACKED_NUMBER_SIZE;
  }
  const writer = new PackedWriter(size);
  for (const { certificate, serialNumber, notBefore, notAfter } of svids) {
    writer.piece(certificate);
    writer.text(serialNumber);
    writer.number(notBefore.getTime());
    writer.number(notAfter.getTime());
  }
  return writer.bytes;
}

export function* unpackSvids(packed: Uint8Array): Generator<WrittenX509Svid> {
  const reader = new PackedReader(packed);
  while (!reader.isAtEnd()) {
    const certificate = reader.piece();
    const serialNumber = reader.text();
    const notBefore = new Date(reader.number());
    yield { certificate, serialNumber, notBefore, notAfter: new Date(reader.number()) };
  }
}
