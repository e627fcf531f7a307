/** What one workload has received of the Workload API, each message held against whom it is for. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { loadService } from '@bonafide/shared/rpc/load-service';

/** All that a workload is entitled to. */
export interface Entitlement {
  readonly spiffeId: string;
  /** IDs of the trust domains whose bundles it may see, sorted. */
  readonly trustDomainIds: readonly string[];
}

const { definition } = loadService('SpiffeWorkloadAPI');

export class OwnIdentity {
  readonly #own: Entitlement;
  /** Of its X.509-SVIDs, in hexadecimal. */
  readonly serialNumbers = new Set<string>();
  /** Of its X.509-SVIDs and JWT-SVIDs: nobody else may have one of them. */
  readonly secrets = new Set<string>();
  /** What it should never have been given. */
  readonly strangers: string[] = [];

  constructor(own: Entitlement) {
    this.#own = own;
  }

  noteX509Svids(message: Buffer): void {
    const { federatedBundles, svids } = definition.FetchX509SVID.responseDeserialize(message);
    for (const { spiffeId, x509Svid, x509SvidKey } of svids) {
      const certificate = new X509Certificate(x509Svid);
      const key = createPrivateKey({ key: x509SvidKey, format: 'der', type: 'pkcs8' });
      this.#check('the ID of an X.509-SVID', spiffeId, this.#own.spiffeId);
      this.#check('the name in a certificate', certificate.subjectAltName, `URI:${this.#own.spiffeId}`);
      this.#check('the key of a certificate', certificate.checkPrivateKey(key), true);
      this.serialNumbers.add(certificate.serialNumber);
      this.secrets.add(x509SvidKey.toString('base64'));
    }
    this.#check('how many X.509-SVIDs there are', svids.length, 1);
    const [trustDomainId = '', ...others] = this.#own.trustDomainIds;
    this.#check('the bundles beside an X.509-SVID', Object.keys(federatedBundles).sort(), others);
    this.#check('the own trust domain', this.#own.spiffeId.startsWith(`${trustDomainId}/`), true);
  }

  noteX509Bundles(message: Buffer): void {
    const { bundles } = definition.FetchX509Bundles.responseDeserialize(message);
    this.#check('X.509 bundles', Object.keys(bundles).sort(), this.#own.trustDomainIds);
  }

  noteJwtBundles(message: Buffer): void {
    const { bundles } = definition.FetchJWTBundles.responseDeserialize(message);
    this.#check('JWT bundles', Object.keys(bundles).sort(), this.#own.trustDomainIds);
  }

  noteJwtSvids(message: Buffer, audience: string): void {
    const { svids } = definition.FetchJWTSVID.responseDeserialize(message);
    for (const { spiffeId, svid } of svids) {
      const payload = Buffer.from(svid.split('.')[1] ?? '', 'base64url').toString();
      const { aud, sub } = JSON.parse(payload) as Readonly<Record<string, unknown>>;
      this.#check('the ID of a JWT-SVID', spiffeId, this.#own.spiffeId);
      this.#check('the subject of a JWT-SVID', sub, this.#own.spiffeId);
      this.#check('the audience of a JWT-SVID', aud, [audience]);
      this.secrets.add(svid);
    }
    this.#check('how many JWT-SVIDs there are', svids.length, 1);
  }

  #check(what: string, received: unknown, own: unknown): void {
    if (JSON.stringify(received) === JSON.stringify(own)) return;
    this.strangers.push(
      `${this.#own.spiffeId}: ${what} is ${JSON.stringify(received)}, not ${JSON.stringify(own)}`,
    );
  }
}
