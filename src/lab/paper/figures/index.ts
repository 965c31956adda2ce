import type { FigureModule } from '../module.ts';
import { asymmetry } from './asymmetry.ts';
import { delay } from './delay.ts';
import { fer } from './fer.ts';
import { ntp } from './ntp.ts';
import { tcpVsBer } from './tcp-vs-ber.ts';
import { timeSequence } from './time-sequence.ts';
import { uosatFtp } from './uosat-ftp.ts';

/** In the order of the report. */
export const FIGURES: readonly FigureModule[] = [tcpVsBer, uosatFtp, timeSequence, ntp, asymmetry, delay, fer];
