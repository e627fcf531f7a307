/** HashiCorp's reader of HCL version 1, translated from Go; it brings no types. */
declare module 'js-hcl-parser' {
  const library: {
    /** JSON, or a sentence about what is wrong. */
    readonly parse: (source: string) => string;
  };
  export default library;
}
