/** An object of Kubernetes, as a broker names it (SPIFFE Broker API, KubernetesObjectReference). */

export interface KubernetesObjectReference {
  /** For example `pods`. */
  readonly plural: string;
  /** Empty: the core group. */
  readonly group: string;
  /** By name, by UID, or both: at least one, and then both must be of the same object. */
  readonly key: { readonly namespace: string; readonly name: string } | undefined;
  readonly uid: string | undefined;
}
