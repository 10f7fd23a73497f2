"""Vehicles as extruded side profiles with painted faces: one entry for all kinds."""

from collections.abc import Callable

import numpy as np

from dsr_nss.nightscape.cars import car_surfaces, van_surfaces
from dsr_nss.nightscape.large_vehicles import LIVERIES, bus_surfaces, tram_surfaces, truck_surfaces
from dsr_nss.nightscape.paint import Colour, pick
from dsr_nss.nightscape.raster import Surface
from dsr_nss.nightscape.vehicle_parts import Vehicle

__all__ = ['CAR_COLOURS', 'Vehicle', 'sample_colour', 'vehicle_surfaces']

CAR_COLOURS: tuple[Colour, ...] = (
    (232, 232, 230), (216, 218, 220), (30, 31, 34), (44, 46, 50), (112, 116, 120), (160, 164, 168),
    (74, 78, 84), (150, 22, 26), (30, 54, 110), (58, 96, 140), (24, 62, 46), (120, 92, 60),
    (212, 172, 44), (196, 92, 32), (100, 28, 48), (176, 168, 148),
)  # fmt: skip


def sample_colour(rng: np.random.Generator, kind: str) -> Colour:
    """A paint colour for that kind of vehicle."""
    return pick(rng, CAR_COLOURS if kind in ('car', 'van') else LIVERIES, 10)


def vehicle_surfaces(vehicle: Vehicle, density: float, night: bool) -> list[Surface]:
    """The visible faces of a vehicle, painted with `density` pixels per metre."""
    density = float(np.clip(density, 8, 110))
    builders: dict[str, Callable[[Vehicle, float, bool], list[Surface]]] = {
        'car': car_surfaces,
        'van': van_surfaces,
        'truck': truck_surfaces,
        'bus': bus_surfaces,
        'tram': tram_surfaces,
    }
    return builders[vehicle.kind](vehicle, density, night)
