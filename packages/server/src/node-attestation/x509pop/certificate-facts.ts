/** What a node's certificate says: selectors, and values for the template of its agent's path, under SPIRE's names. */
import { createHash } from 'node:crypto';
import { readNameAttributes } from '@bonafide/shared/crypto/der/name-attributes';
import { objectIdentifierHex, OID } from '@bonafide/shared/crypto/der/object-identifier';
import type { X509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { createSelector, type Selector } from '@bonafide/shared/registration/selector';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { TemplateFields } from '../template/template-value.js';

const TYPE = 'x509pop';

export interface CertificateFacts {
  readonly selectors: readonly Selector[];
  readonly templateValues: TemplateFields;
}

interface FactSources {
  /** The node's certificate first, the anchor last. */
  readonly path: readonly X509Certificate[];
  readonly trustDomain: TrustDomain;
  /** Of its SPIFFE ID, without the prefix; empty in the mode `external_pki`. */
  readonly svidPathTrimmed: string;
}

export const TEMPLATE_FIELDS = [
  'PluginName',
  'Fingerprint',
  'TrustDomain',
  'SerialNumberHex',
  'SVIDPathTrimmed',
  'URISanSelectors',
  'SerialNumber',
  'Subject',
  'Issuer',
  'DNSNames',
  'URIs',
] as const;

/** @throws BonafideError `invalid_argument` when a name is not in the encoding that it claims, or makes too long a selector. */
export function certificateFacts({ path, trustDomain, svidPathTrimmed }: FactSources): CertificateFacts {
  const [leaf, ...signers] = path;
  if (leaf === undefined) throw new Error('a path has at least its leaf');
  const subject = nameFields(leaf.subject);
  const sanSelectors = sanSelectorsOf(leaf.uriNames, trustDomain);
  const serialNumberHex = leaf.serialNumber === '' ? '00' : leaf.serialNumber;
  const values = [
    ...(subject.CommonName === '' ? [] : [`subject:cn:${subject.CommonName}`]),
    ...signers.map((signer) => `ca:fingerprint:${fingerprint(signer)}`),
    `serialnumber:${serialNumberHex}`,
    ...[...sanSelectors].map(([key, value]) => `san:${key}:${value}`),
  ];
  const templateValues: Record<(typeof TEMPLATE_FIELDS)[number], TemplateFields[string]> = {
    PluginName: TYPE,
    Fingerprint: fingerprint(leaf),
    TrustDomain: trustDomain,
    SerialNumberHex: serialNumberHex,
    SVIDPathTrimmed: svidPathTrimmed,
    URISanSelectors: Object.fromEntries(sanSelectors),
    SerialNumber: BigInt(`0x${serialNumberHex}`).toString(),
    Subject: subject,
    Issuer: nameFields(leaf.issuer),
    DNSNames: leaf.dnsNames,
    URIs: leaf.uriNames,
  };
  return { selectors: values.map((value) => createSelector(TYPE, value)), templateValues };
}

/** A name for a certificate, and SPIRE's choice; nothing rests on its strength. */
function fingerprint({ der }: X509Certificate): string {
  return createHash('sha1').update(der).digest('hex');
}

/** `x509pop://TRUST-DOMAIN/KEY/VALUE`, percent-encoding undone; of a key that comes twice, the last counts. */
function sanSelectorsOf(uriNames: readonly string[], trustDomain: TrustDomain): ReadonlyMap<string, string> {
  const selectors = new Map<string, string>();
  const prefix = `${TYPE}://${trustDomain}/`;
  for (const uri of uriNames) {
    if (!uri.startsWith(prefix)) continue;
    const path = decodePath(uri.slice(prefix.length).replace(/[?#].*$/, ''));
    const [, key, value] = /^\/*([^/]+)\/(.*[^/])\/*$/.exec(path ?? '') ?? [];
    if (key !== undefined && value !== undefined) selectors.set(key, value);
  }
  return selectors;
}

/** Undefined for what is no text, or no text for a terminal and a log. */
function decodePath(path: string): string | undefined {
  try {
    const decoded = decodeURIComponent(path);
    return /\p{Cc}/u.test(decoded) ? undefined : decoded;
  } catch {
    return undefined;
  }
}

interface NameFields extends TemplateFields {
  readonly CommonName: string;
}

/** The fields of Go's pkix.Name. */
function nameFields(name: Buffer): NameFields {
  const attributes = readNameAttributes(name);
  const all = (type: string): readonly string[] => attributes.get(type) ?? [];
  return {
    CommonName: all(OID.commonName).at(-1) ?? '',
    SerialNumber: all(OID.serialNumber).at(-1) ?? '',
    Country: all(OID.country),
    Organization: all(OID.organization),
    OrganizationalUnit: all(OID.organizationalUnit),
    Locality: all(objectIdentifierHex('2.5.4.7')),
    Province: all(objectIdentifierHex('2.5.4.8')),
    StreetAddress: all(objectIdentifierHex('2.5.4.9')),
    PostalCode: all(objectIdentifierHex('2.5.4.17')),
  };
}
