from numdnc.engines.cpu.engine import ENGINE
