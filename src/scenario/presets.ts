/**
 * Links that were flown or are often asked for. A preset fills in what the scenario leaves out; the scenario's own keys win.
 * `up` is the forward direction (ground to space), `down` the return. Where a source gives no figure the choice is ours and
 * says so. Delays are one-way.
 */
export interface Preset {
  readonly summary: string;
  readonly lineCoding?: 'nrzi' | 'g3ruh' | 'ccsds-randomizer';
  readonly up: PresetDirection;
  readonly down: PresetDirection;
}
export interface PresetDirection {
  readonly rate: string;
  readonly delay: string;
  readonly ber?: number;
}

export const PRESETS = {
  // UoSAT-12, 2000: downlink 38.4 kbit/s = 30.4 kbit/s ÷ 79.2 % (Criscuolo, Hogie, Parise, IEEE Aerospace 2001); the uplink
  // of 9.6 kbit/s is the SSTL standard of the time, not in that paper. No FEC; 9 of 445 frames lost gives BER 4.5e-6.
  // 619 × 649 km: 2 to 10 ms of propagation; 10 ms with the ground station's equipment.
  uosat12: {
    summary: 'UoSAT-12 in 2000: 9.6k up, 38.4k down, BER 4.5e-6 on the downlink',
    up: { rate: '9.6k', delay: '10ms' },
    down: { rate: '38.4k', delay: '10ms', ber: 4.5e-6 },
  },
  // The amateur and SSTL 9600-baud FSK link: G3RUH scrambler (1 + x^12 + x^17). 650 km orbit, slant range 650 to 2900 km.
  'leo-9600': {
    summary: '9600 bit/s FSK in low Earth orbit with the G3RUH scrambler',
    lineCoding: 'g3ruh',
    up: { rate: '9.6k', delay: '6ms' },
    down: { rate: '9.6k', delay: '6ms', ber: 1e-6 },
  },
  // CANDOS on STS-107, 2003, through ground stations: 2 kbit/s up, 128 kbit/s down (Hogie et al.). Delay: 300 km orbit.
  candos: {
    summary: 'CANDOS (STS-107, 2003) through a ground station: 2k up, 128k down',
    up: { rate: '2k', delay: '5ms' },
    down: { rate: '128k', delay: '5ms', ber: 1e-6 },
  },
  // CANDOS through TDRSS: 32 kbit/s forward, 128 kbit/s return. Two hops of 36,000 to 41,000 km: 250 ms.
  'candos-tdrss': {
    summary: 'CANDOS through a relay satellite (TDRSS): 32k forward, 128k return',
    up: { rate: '32k', delay: '250ms' },
    down: { rate: '128k', delay: '250ms', ber: 1e-6 },
  },
  // UK-DMC with CLEO, 2003: 8.1 Mbit/s S-band downlink, 9600 bit/s uplink (the uplink from secondary sources); 686 km.
  dmc: {
    summary: 'UK-DMC (2003): 9.6k up, 8.1M down',
    up: { rate: '9.6k', delay: '6ms' },
    down: { rate: '8.1M', delay: '6ms', ber: 1e-7 },
  },
  // RFC 2488 section 2: 239.6 ms to a geostationary satellite and back down; about 560 ms round trip with equipment. The
  // rate, an E1 each way, is our choice.
  geo: {
    summary: 'geostationary, 560 ms round trip, 2.048M each way',
    up: { rate: '2.048M', delay: '280ms' },
    down: { rate: '2.048M', delay: '280ms' },
  },
  // ACTS gigabit network, experiments 118i and 118j: OC-12, 622.08 Mbit/s; 560 ms round trip.
  acts: {
    summary: 'ACTS: OC-12 over a geostationary satellite, 622.08M, 560 ms round trip',
    up: { rate: '622.08M', delay: '280ms' },
    down: { rate: '622.08M', delay: '280ms' },
  },
  // 384,400 km is 1.282 s: a round trip of 2.56 s. The OMNI paper's 1.666 s is wrong. The rates are our choice.
  lunar: {
    summary: 'the Moon, 2.56 s round trip, 64k up, 1M down',
    up: { rate: '64k', delay: '1.28s' },
    down: { rate: '1M', delay: '1.28s', ber: 1e-7 },
  },
  // Mars lies 3.1 to 22.3 light minutes away; 4 and 24 min one way are the usual planning figures. The rates are our choice.
  'mars-4min': {
    summary: 'Mars when near, 4 min one way, 2k up, 128k down',
    up: { rate: '2k', delay: '4min' },
    down: { rate: '128k', delay: '4min', ber: 1e-7 },
  },
  'mars-24min': {
    summary: 'Mars when far, 24 min one way, 2k up, 128k down',
    up: { rate: '2k', delay: '24min' },
    down: { rate: '128k', delay: '24min', ber: 1e-7 },
  },
} as const satisfies Record<string, Preset>;

export type PresetName = keyof typeof PRESETS;
export const PRESET_NAMES = Object.keys(PRESETS) as [PresetName, ...PresetName[]];
