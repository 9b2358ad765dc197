"""Units of hitloom: lengths mm, energies and momenta GeV, times ns, angles rad, field T; always.

Readers multiply by a factor of this module at the door and nowhere else::

    pos_mm = pos_cm * units.TO_MM["cm"]
"""

from __future__ import annotations

from hitloom.errors import DataError, nearest

TO_MM = {"um": 1e-3, "mm": 1.0, "cm": 10.0, "m": 1000.0}
TO_GEV = {"eV": 1e-9, "keV": 1e-6, "MeV": 1e-3, "GeV": 1.0, "TeV": 1000.0}
TO_NS = {"ps": 1e-3, "ns": 1.0, "us": 1e3, "s": 1e9}
TO_RAD = {"rad": 1.0, "deg": 0.017453292519943295}

# p_T [GeV] = GEV_PER_TESLA_MM * B [T] * R [mm] for a particle of unit charge (speed of light, PDG).
GEV_PER_TESLA_MM = 0.299792458e-3

_BY_DIMENSION = {"length": TO_MM, "energy": TO_GEV, "time": TO_NS, "angle": TO_RAD}


def factor(unit: str, dimension: str) -> float:
    """Return the factor that brings ``unit`` to hitloom's unit of ``dimension``.

    Raises
    ------
    DataError
        When the unit is not one of the dimension's.
    """
    table = _BY_DIMENSION[dimension]
    if unit not in table:
        raise DataError(f"unknown {dimension} unit '{unit}'.{nearest(unit, table)}")
    return table[unit]
