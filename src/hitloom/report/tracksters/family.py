from hitloom.report.track_family import TrackFamily


class TracksterFamily(TrackFamily):
    name = "tracksters"

    def fits(self, event):
        return False
