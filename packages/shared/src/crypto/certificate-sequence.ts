/** Certificates one after another in DER, without anything between them, as the Workload API carries chains and bundles. */
import { invalidArgument } from '../errors/bonafide-error.js';
import { DerReader } from './der/der-reader.js';
import { DER_TAG } from './der/der-tag.js';

/** @returns at least one. @throws BonafideError `invalid_argument` naming the field. */
export function splitCertificates(bytes: Buffer, field: string): readonly Buffer[] {
  const certificates: Buffer[] = [];
  const reader = new DerReader(bytes, field);
  while (!reader.isAtEnd()) certificates.push(reader.readElement(DER_TAG.sequence, 'certificate'));
  if (certificates.length === 0) throw invalidArgument(`${field} is empty; expected a certificate`);
  return certificates;
}
