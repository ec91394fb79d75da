// The types of node-forge describe the whole library; its ASN.1 module alone loads in a fraction of the time.
declare module 'node-forge/lib/asn1.js' {
  /** A piece of ASN.1. Values are strings with one character per byte. */
  export interface Asn1 {
    readonly tagClass: number
    readonly type: number
    readonly value: string | Asn1[]
  }
  interface Bytes {
    getBytes(): string
  }
  const asn1: {
    readonly Class: Readonly<Record<'UNIVERSAL' | 'CONTEXT_SPECIFIC', number>>
    readonly Type: Readonly<
      Record<
        | 'BOOLEAN'
        | 'INTEGER'
        | 'BITSTRING'
        | 'OCTETSTRING'
        | 'NULL'
        | 'OID'
        | 'SEQUENCE'
        | 'SET'
        | 'PRINTABLESTRING'
        | 'UTCTIME'
        | 'GENERALIZEDTIME',
        number
      >
    >
    create(tagClass: number, type: number, constructed: boolean, value: string | Asn1[]): Asn1
    fromDer(bytes: string): Asn1
    toDer(node: Asn1): Bytes
    oidToDer(dotted: string): Bytes
    dateToUtcTime(date: Date): string
    dateToGeneralizedTime(date: Date): string
  }
  export { asn1 as default }
}
