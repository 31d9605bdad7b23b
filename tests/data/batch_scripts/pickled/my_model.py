class Mine:
    offset = 7

    def predict(self, name):
        return len(name) + self.offset
