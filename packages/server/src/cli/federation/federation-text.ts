/** A federation relationship as the lines that SPIRE prints. */
import type { FederationRelationship__Output } from '@bonafide/shared/rpc/gen/spire/api/types/FederationRelationship';

const LABEL_WIDTH = 26;

export function federationText(relationship: FederationRelationship__Output): string {
  const { trustDomain, bundleEndpointUrl, httpsWeb, httpsSpiffe } = relationship;
  const rows: (readonly [string, string])[] = [
    ['Trust domain', trustDomain],
    ['Bundle endpoint URL', bundleEndpointUrl],
  ];
  if (httpsSpiffe) {
    rows.push(
      ['Bundle endpoint profile', 'https_spiffe'],
      ['Endpoint SPIFFE ID', httpsSpiffe.endpointSpiffeId],
    );
  } else if (httpsWeb) rows.push(['Bundle endpoint profile', 'https_web']);
  return rows.map(([label, value]) => `${label.padEnd(LABEL_WIDTH)}: ${value}\n`).join('');
}
