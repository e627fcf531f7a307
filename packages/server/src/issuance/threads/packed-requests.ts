/** Requests on their way to a signing thread: CSR, life wanted and names of each. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { X509SvidRequest } from '../x509-svid-request.js';
import { PACKED_NUMBER_SIZE, packedSize, PackedReader, PackedWriter } from './packed-bytes.js';

export function packRequests(requests: readonly X509SvidRequest[]): Buffer {
  let size = 0;
  for (const { csr, spiffeId, dnsNames } of requests) {
    size += packedSize(csr.length) + packedSize(Buffer.byteLength(spiffeId)) + 2 * PACKED_NUMBER_SIZE;
    for (const name of dnsNames) size += packedSize(Buffer.byteLength(name));
  }
  const writer = new PackedWriter(size);
  for (const { csr, spiffeId, dnsNames, ttlSeconds } of requests) {
    writer.piece(csr);
    writer.text(spiffeId);
    writer.number(ttlSeconds);
    writer.number(dnsNames.length);
    for (const name of dnsNames) writer.text(name);
  }
  return writer.bytes;
}

export function* unpackRequests(packed: Uint8Array): Generator<X509SvidRequest> {
  const reader = new PackedReader(packed);
  while (!reader.isAtEnd()) {
    const csr = reader.piece();
    // It was one on the other side; whoever writes the certificate checks its trust domain and path again.
    const spiffeId = reader.text() as SpiffeId;
    const ttlSeconds = reader.number();
    const dnsNames = Array.from({ length: reader.number() }, () => reader.text());
    yield { csr, spiffeId, dnsNames, ttlSeconds };
  }
}
